/** Replays every trajectory recorded from TensorFlow: variables, slots, weights and configs, bit for bit. */
import assert from "node:assert/strict";
import { runCompiled, runInterpreted, type Runner } from "../../../kernels/compiler/runner.ts";
import type { MemberSpec, VariableSpec } from "../../../src/run/api/run_spec.ts";
import { Registry } from "../../../src/run/registry/registry.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { elementCount } from "../../../src/tensor.ts";
import { writeTensors } from "../../../src/wire/json_tensors.ts";

interface GoldenVariable {
  readonly name: string;
  readonly shape: number[];
  readonly initial: string;
  readonly constraint?: MemberSpec;
}

type GoldenGradient = { dense: string } | { indices: number[]; rows: number; values: string } | null;
type Bound =
  | { ulp: 0 }
  | { relative: number; slots_relative?: number; why: string }
  | { absolute: number; why: string };

interface GoldenCase {
  readonly name: string;
  readonly optimizer: MemberSpec;
  readonly variables: readonly GoldenVariable[];
  readonly needs?: { non_finite?: "propagate" };
  readonly gradient_transformers?: readonly MemberSpec[];
  readonly steps: readonly {
    gradients: Record<string, GoldenGradient>;
    patch?: Record<string, unknown>;
    set_weights?: (number | { shape: number[]; values: string })[];
    aggregate?: boolean;
  }[];
  readonly expected: {
    after: readonly { step: number; variables: Record<string, string> }[];
    weights: readonly { name?: string; value?: number; variable?: string; slot?: string; values?: string }[];
    slot_names: string[];
    iterations: number;
    learning_rates?: number[];
    config?: Record<string, unknown>;
  };
  readonly bound: Bound;
}

interface GoldenFile {
  readonly topic: string;
  readonly cases?: readonly GoldenCase[];
}

const FOLDER = new URL("../../golden/", import.meta.url);

export function goldenFiles(): GoldenFile[] {
  return [...Deno.readDirSync(FOLDER)].filter(({ name }) => name.endsWith(".json"))
    .map(({ name }) => JSON.parse(Deno.readTextFileSync(new URL(name, FOLDER))) as GoldenFile)
    .sort((a, b) => a.topic < b.topic ? -1 : 1);
}

function floats(base64: string): Float32Array {
  return new Float32Array(Uint8Array.fromBase64(base64).buffer);
}

const asTensor = (shape: readonly number[], base64: string) => ({ dtype: "float32", shape, base64 });

function gradientOf(variable: GoldenVariable, gradient: GoldenGradient): unknown {
  if (gradient === null) return null;
  if ("dense" in gradient) return asTensor(variable.shape, gradient.dense);
  const shape = [gradient.rows, ...variable.shape.slice(1)];
  return { indices: gradient.indices, values: asTensor(shape, gradient.values) };
}

/** Compares within the case's bound. Returns the first difference, or undefined. */
function difference(got: Float32Array, want: Float32Array, bound: Bound): string | undefined {
  if (got.length !== want.length) return `length ${got.length}, reference ${want.length}`;
  const scale = want.reduce(
    (most, value) => Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most,
    0,
  );
  const allowed = "ulp" in bound ? 0 : "relative" in bound ? bound.relative * scale : bound.absolute;
  for (let n = 0; n < got.length; n++) {
    const a = got[n] as number, b = want[n] as number;
    if (Object.is(a, b)) continue;
    if (!("ulp" in bound) && Math.abs(a - b) <= allowed) continue;
    return `element ${n}: ${a}, reference ${b}`;
  }
  return undefined;
}

/** Keras writes a schedule with its module; the service writes the short form, which Keras loads as well. */
function plain(config: Record<string, unknown>): Record<string, unknown> {
  const rate = config["learning_rate"];
  if (typeof rate !== "object" || rate === null) return config;
  const { class_name, config: inner } = rate as Record<string, unknown>;
  return { ...config, learning_rate: { class_name, config: inner } };
}

async function openRun(golden: GoldenCase, runner: Runner): Promise<Session> {
  const registry = new Registry({
    runsMax: 1,
    memoryBytesMax: 2 ** 30,
    runner,
    now: () => new Date(0),
    newId: () => "golden",
    drawSeed: () => 7,
  });
  const variables: VariableSpec[] = golden.variables.map(({ initial, ...variable }) => ({
    ...variable,
    initial: elementCount(variable.shape) === 0 ? 0 : asTensor(variable.shape, initial),
  }));
  return await registry.create({
    optimizer: golden.optimizer,
    variables,
    non_finite: golden.needs?.non_finite,
    gradient_transformers: golden.gradient_transformers,
  });
}

/** Replays a trajectory and returns the first difference from TensorFlow's. */
async function replay(golden: GoldenCase, runner: Runner): Promise<string | undefined> {
  const session = await openRun(golden, runner);
  const { expected, bound } = golden;
  for (const [index, step] of golden.steps.entries()) {
    if (step.patch) session.patchOptimizer(step.patch);
    if (step.set_weights) {
      session.setWeights(
        step.set_weights.map((weight) =>
          typeof weight === "number" ? weight : asTensor(weight.shape, weight.values)
        ),
      );
    }
    const gradients = Object.fromEntries(
      Object.entries(step.gradients).map(([name, gradient]) => {
        const variable = golden.variables.find((each) => each.name === name) as GoldenVariable;
        return [name, gradientOf(variable, gradient)];
      }),
    );
    const staging = session.stage("gradients");
    writeTensors(gradients, staging, "gradients");
    const answer = session.step(staging, { aggregate: step.aggregate ?? true, dryRun: false });
    staging.release();
    const rate = expected.learning_rates?.[index];
    if (rate !== undefined && "ulp" in bound && !Object.is(answer.learning_rate, rate)) {
      return `step ${index + 1}: learning rate ${answer.learning_rate}, reference ${rate}`;
    }
    for (const after of expected.after.filter((each) => each.step === index + 1)) {
      for (const { name, values } of session.publish().tensors) {
        const found = difference(values, floats(after.variables[name] as string), bound);
        if (found) return `step ${index + 1}: ${name}: ${found}`;
      }
    }
  }
  assert.equal(session.iterations, expected.iterations, "iterations");
  assert.deepEqual(session.slotNames(), expected.slot_names, "slot names");
  const slotBound = "relative" in bound
    ? { relative: bound.slots_relative ?? bound.relative, why: bound.why }
    : bound;
  const { iterations, tensors } = session.weights();
  const names = expected.weights.map(({ name, variable, slot }) => name ?? `${variable}/${slot}`);
  assert.deepEqual(iterations === null ? [] : ["iter", ...tensors.map(({ name }) => name)], names, "weights");
  for (const [n, weight] of expected.weights.slice(1).entries()) {
    const want = weight.values === undefined ? Float32Array.of(weight.value ?? NaN) : floats(weight.values);
    const found = difference(tensors[n]?.values as Float32Array, want, slotBound);
    if (found) return `${names[n + 1]}: ${found}`;
  }
  if (expected.config) assert.deepEqual(session.optimizer().config, plain(expected.config));
  return undefined;
}

for (const file of goldenFiles()) {
  const { topic, cases = [] } = file;
  if (cases.length === 0) continue;
  Deno.test(`trajectories of ${topic} equal the reference: ${cases.length} cases`, async () => {
    const failures: string[] = [];
    for (const golden of cases) {
      const found = await replay(golden, runCompiled).catch((error) => String(error));
      if (found) failures.push(`${golden.name}: ${found}`);
    }
    assert.equal(failures.length, 0, `${failures.length} of ${cases.length} differ:\n${failures.join("\n")}`);
  });
}

Deno.test("the interpreter gives the same trajectories", async () => {
  for (const { cases = [] } of goldenFiles()) {
    for (const golden of cases.filter((_, n) => n % 17 === 0)) {
      assert.equal(await replay(golden, runInterpreted), undefined, golden.name);
    }
  }
});
