/**
 * Keras' behaviour apart from numbers, as recorded in test/golden/behaviour.json: configs, the order of weights, slot
 * names, and refusals. Where Stepwell differs on purpose, the test says so.
 */
import assert from "node:assert/strict";
import { StepwellError } from "../../../src/errors.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { newRegistry, open, step, tensor, variablesOf } from "../support/harness.ts";

interface KerasError {
  readonly type: string;
  readonly message: string;
}

interface Named {
  readonly name: string;
  readonly error: KerasError | null;
}

type Config = Record<string, unknown>;
type Optimizer = { class_name: string; config: Config };
type WeightName = "iter" | "momentum_cache" | [variable: string, slot: string];

interface Behaviour {
  readonly configs: readonly {
    name: string;
    optimizer: Optimizer;
    new: Config;
    stepped: Config;
    weights_when_new: number;
    weights: WeightName[];
    slot_names: string[];
    legacy_serialized: Optimizer;
    from_config: Config;
  }[];
  readonly constructors: readonly (Named & { optimizer: Optimizer; config: Config; warnings?: string[] })[];
  readonly step_outcomes: readonly (Named & { variable: string; iterations: number })[];
  readonly set_weights: readonly (Named & { optimizer: Optimizer; iterations: number })[];
  readonly schedules: readonly (Named & { schedule: unknown; config: Config })[];
  readonly constraints: readonly (Named & {
    alias?: string;
    class_name: string;
    shape?: number[];
    given: Config;
    config: Config;
  })[];
}

const behaviour = JSON.parse(
  Deno.readTextFileSync(new URL("../../golden/behaviour.json", import.meta.url)),
) as Behaviour;

const TWO = [{ name: "A", shape: [2, 2], initial: 1 }, { name: "B", shape: [3], initial: 1 }];
const ONES = { A: [[1, 1], [1, 1]], B: [1, 1, 1] };
const registry = newRegistry();
const create = (optimizer: unknown) => registry.create({ optimizer, variables: TWO });

/** Keras writes a schedule with its module; the service writes the short form, which Keras loads as well. */
function plain(config: Config): Config {
  const rate = config["learning_rate"];
  if (typeof rate !== "object" || rate === null) return config;
  const { class_name, config: inner } = rate as Config;
  return { ...config, learning_rate: { class_name, config: inner } };
}

function sameConfig(got: Readonly<Config>, wanted: Config, label: string): void {
  assert.deepEqual(got, plain(wanted), label);
  assert.deepEqual(Object.keys(got), Object.keys(wanted), `${label}: order of keys`);
}

/** Checks that Stepwell refuses exactly when Keras does, and returns the refusal. */
async function outcome<T>({ name, error }: Named, act: () => T | Promise<T>): Promise<T | StepwellError> {
  let result: T | StepwellError;
  try {
    result = await act();
  } catch (refused) {
    if (!(refused instanceof StepwellError)) throw refused;
    result = refused;
  }
  const got = result instanceof StepwellError ? `refused: ${result.message}` : "accepted";
  assert.equal(result instanceof StepwellError, error !== null, `${name}: ${got}; Keras: ${error?.message}`);
  return result;
}

Deno.test("configs, weights and slot names are Keras' before and after the first step", async () => {
  for (const golden of behaviour.configs) {
    const session = await create(golden.optimizer);
    sameConfig(session.optimizer().config, golden.new, `${golden.name}, new`);
    assert.deepEqual(session.weights(), { iterations: null, tensors: [] });
    assert.equal(golden.weights_when_new, 0);
    step(session, ONES);
    sameConfig(session.optimizer().config, golden.stepped, `${golden.name}, stepped`);
    const { class_name, config } = session.optimizer();
    sameConfig(config, golden.legacy_serialized.config, golden.name);
    assert.equal(class_name, golden.legacy_serialized.class_name);
    const names = golden.weights.slice(1).map((name) => Array.isArray(name) ? name.join("/") : name);
    assert.deepEqual(session.weights().tensors.map(({ name }) => name), names, golden.name);
    assert.deepEqual(session.slotNames(), golden.slot_names, golden.name);
    const again = await create(session.optimizer());
    sameConfig(again.optimizer().config, golden.from_config, `${golden.name}, from_config`);
  }
});

/** The arguments that Keras' message names. */
function blamed({ message }: KerasError, config: Config): string[] {
  return Object.keys(config).filter((key) => new RegExp(`\\b${key}\\b`).test(message));
}

Deno.test("constructors accept and refuse what Keras' do, and name the same argument first", async () => {
  for (const golden of behaviour.constructors) {
    const result = await outcome(golden, () => create(golden.optimizer));
    if (!(result instanceof StepwellError)) {
      sameConfig(result.optimizer().config, golden.config, golden.name);
      if (golden.warnings) assert(result.describe().warnings.length > 0, golden.name);
      continue;
    }
    const keys = golden.error ? blamed(golden.error, golden.optimizer.config) : [];
    const first = result.issues[0]?.path.replace("optimizer.config.", "") ?? "";
    if (keys.length > 0) assert(keys.includes(first), `${golden.name}: ${first}, Keras: ${keys}`);
  }
});

/** Gradients for each situation. A body cannot name a variable twice. */
const SITUATIONS: Record<string, { gradients: Config; constraint?: string }> = {
  "all gradients null": { gradients: { A: null } },
  "a constraint and a sparse gradient": {
    gradients: { A: { indices: [0], values: [[1, 1]] } },
    constraint: "NonNeg",
  },
  "a constraint and an empty sparse gradient": {
    gradients: { A: { indices: [], values: [] } },
    constraint: "NonNeg",
  },
  "another shape": { gradients: { A: [[1, 1, 1], [1, 1, 1]] } },
  "an index too large": { gradients: { A: { indices: [3], values: [[1, 1]] } } },
  "a negative index": { gradients: { A: { indices: [-1], values: [[1, 1]] } } },
  "one of two null": { gradients: { A: [[1, 1], [1, 1], [1, 1]], B: null } },
};

Deno.test("steps are made and refused as in Keras, but a refused one changes nothing here", async () => {
  const ones = [1, 1, 1, 1, 1, 1];
  let replayed = 0;
  for (const golden of behaviour.step_outcomes) {
    const [class_name = "", ...label] = golden.name.split(", ");
    const situation = SITUATIONS[label.join(", ")];
    if (!situation) continue;
    const { gradients, constraint } = situation;
    const session = await open({
      optimizer: { class_name, config: { learning_rate: 0.1 } },
      variables: [{ name: "A", shape: [3, 2], initial: 1, constraint }, { name: "B", shape: [] }],
    });
    const result = await outcome(golden, () => step(session, gradients));
    const changed = [...new Float32Array(Uint8Array.fromBase64(golden.variable).buffer)];
    assert.deepEqual(
      variablesOf(session)["A"],
      result instanceof StepwellError ? ones : changed,
      golden.name,
    );
    assert.equal(session.iterations, golden.iterations, golden.name);
    replayed += 1;
  }
  assert.equal(replayed, 8 * Object.keys(SITUATIONS).length);
});

const LISTS: Record<string, (weights: unknown[]) => unknown[]> = {
  "one short at the end": (weights) => weights.slice(0, -1),
  "without iter": (weights) => weights.slice(1),
  "one too many": (weights) => [...weights, [0, 0, 0]],
  "empty": () => [],
  "the last of another shape": (
    weights,
  ) => [...weights.slice(0, -1), new Array(9).fill(new Array(9).fill(0))],
  "its own": (weights) => weights,
};

function weightsOf(session: Session): unknown[] {
  const { iterations, tensors } = session.weights();
  return [iterations, ...tensors.map(({ shape, values }) => tensor(shape, values))];
}

Deno.test("setWeights() accepts and refuses the same lists as Keras", async () => {
  for (const golden of behaviour.set_weights) {
    const [optimizer = "", label = ""] = golden.name.split(": ");
    const session = await create(golden.optimizer);
    const fresh = optimizer.endsWith(", new");
    if (!fresh) step(session, ONES);
    const list = fresh ? label === "empty" ? [] : [5] : LISTS[label]?.(weightsOf(session));
    assert(list, golden.name);
    // A new run accepts all its weights at once; Keras wants them created first. SGD has only the count.
    if (golden.name === "SGD, new: iter alone") {
      session.setWeights(list);
      assert.equal(session.iterations, 5);
      continue;
    }
    const result = await outcome(golden, () => session.setWeights(list));
    if (result instanceof StepwellError) assert.equal(result.code, "invalid_weights");
    assert.equal(session.iterations, golden.iterations, golden.name);
  }
});

Deno.test("schedules are written as Keras writes them, and refused when Keras refuses them", async () => {
  for (const golden of behaviour.schedules) {
    const optimizer = { class_name: "SGD", config: { learning_rate: golden.schedule } };
    const result = await outcome(golden, () => create(optimizer));
    if (result instanceof StepwellError) continue;
    const { learning_rate } = result.optimizer().config as { learning_rate: { config: Config } };
    sameConfig(learning_rate.config, golden.config, golden.name);
  }
});

Deno.test("constraints are found, written and refused as in Keras", async () => {
  for (const golden of behaviour.constraints) {
    const { alias, class_name, shape = [3, 3, 2, 2], given, config } = golden;
    // Names are found here whatever their case.
    if (alias === "minmaxnorm" || alias === "radialconstraint") continue;
    const constraint = alias ?? { class_name, config: given };
    const variables = [{ name: "w", shape, constraint }];
    const result = await outcome(golden, () => registry.create({ optimizer: "SGD", variables }));
    if (result instanceof StepwellError) continue;
    const written = result.describe().variables[0]?.constraint;
    assert.equal(written?.class_name, class_name);
    if (config) sameConfig(written?.config ?? {}, config, golden.name);
  }
});
