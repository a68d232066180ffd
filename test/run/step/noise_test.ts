/** AddGaussianNoise in a run, compared with the noise law: its order, its repetition, and its refusals. */
import assert from "node:assert/strict";
import type { RunSpec } from "../../../src/run/api/run_spec.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { noiseAt } from "../../kernels/noise/support/noise_law.ts";
import {
  newRegistry,
  numbers,
  open,
  refusal,
  stateOf,
  step,
  tensor,
  variablesOf,
} from "../support/harness.ts";
import { newWorld } from "../support/stored.ts";

const f = Math.fround;
const SHAPES: Record<string, number[]> = { a: [3, 7], b: [17], none: [0, 2], scalar: [] };
const NAMES = Object.keys(SHAPES);
const noise = (stddev: number, seed: number) => ({
  class_name: "AddGaussianNoise",
  config: { stddev, seed },
});

function spec(transformers: readonly unknown[]): RunSpec {
  return {
    optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
    variables: NAMES.map((name) => ({ name, shape: SHAPES[name] as number[] })),
    gradient_transformers: transformers,
  };
}

const gradients = (seed: number) =>
  Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape], n) => {
      const values = numbers(shape.reduce((a, b) => a * b, 1), { seed: seed + n });
      return [name, tensor(shape, values)];
    }),
  );

/** The transformed gradients: what SGD at rate 1 subtracts in the first step. */
async function transformed(
  transformers: readonly unknown[],
  seed: number,
): Promise<Record<string, number[]>> {
  const session = await open(spec(transformers));
  step(session, gradients(seed));
  return Object.fromEntries(
    Object.entries(variablesOf(session)).map(([name, values]) => [name, values.map((x) => 0 - x)]),
  );
}

/** The law's noise of every element, by the index of its variable. */
const law = (stddev: number, seed: number, { stream = 1, iteration = 0 } = {}) => (name: string, n: number) =>
  noiseAt({ seed, stream, iteration, variable: NAMES.indexOf(name), stddev }, n);

const plain = (seed: number, of: (g: number, name: string, n: number) => number) =>
  Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape], index) => {
      const values = numbers(shape.reduce((a, b) => a * b, 1), { seed: seed + index });
      return [name, values.map((g, n) => of(g, name, n))];
    }),
  );

Deno.test("AddGaussianNoise adds its variable's noise to every element when gradients are dense", async () => {
  for (const [stddev, seed] of [[1, 0], [0.1, 2 ** 53 - 1], [0, 5], [1e-42, 3]] as const) {
    const z = law(stddev, seed);
    assert.deepEqual(
      await transformed([noise(stddev, seed)], seed % 99),
      plain(seed % 99, (g, ...at) => f(g + z(...at))),
    );
  }
});

Deno.test("AddGaussianNoise is applied in its place among other transformers", async () => {
  const scale = (by: number) => ({ class_name: "Scale", config: { scale: by } });
  const z = law(0.5, 7, { stream: 2 });
  assert.deepEqual(
    await transformed([scale(4), noise(0.5, 7), scale(0.5)], 3),
    plain(3, (g, ...at) => f(f(f(g * 4) + z(...at)) * 0.5)),
  );
  const clipped = await transformed([
    { class_name: "ClipByValue", config: { clip_value: 0.25 } },
    noise(0.5, 7),
  ], 3);
  assert.deepEqual(clipped, plain(3, (g, ...at) => f(Math.max(Math.min(g, 0.25), -0.25) + z(...at))));
});

Deno.test("two AddGaussianNoise with one seed add different noise", async () => {
  const first = law(1, 7, { stream: 1 }), second = law(1, 7, { stream: 2 });
  assert.deepEqual(
    await transformed([noise(1, 7), noise(1, 7)], 3),
    plain(3, (g, ...at) => f(f(g + first(...at)) + second(...at))),
  );
});

Deno.test("AddGaussianNoise draws new noise for another iteration", async () => {
  const session = await open(spec([noise(1, 7)]));
  const zeros = { b: tensor([17], new Array<number>(17).fill(0)) };
  let before = variablesOf(session)["b"] as number[];
  for (let iteration = 0; iteration < 4; iteration++) {
    step(session, zeros);
    const z = law(1, 7, { iteration });
    before = before.map((x, n) => f(x - z("b", n)));
    assert.deepEqual(variablesOf(session), { a: Array(21).fill(0), b: before, none: [], scalar: [0] });
  }
});

Deno.test("figures are those of the gradient before the noise, and a dry run does not change the later step", async () => {
  const config = { learning_rate: 1, clipnorm: 1 };
  const [loud, quiet, dry] = await Promise.all(
    [[noise(100, 7)], [], [noise(100, 7)]].map((transformers) =>
      open({ ...spec(transformers), optimizer: { class_name: "SGD", config } })
    ),
  ) as [Session, Session, Session];
  const tried = step(dry, gradients(1), { dryRun: true });
  const answer = step(loud, gradients(1));
  assert.deepEqual(answer, step(quiet, gradients(1)));
  assert.deepEqual({ ...tried, applied: true, iterations: 1, version: answer.version }, answer);
  step(dry, gradients(1));
  assert.deepEqual(variablesOf(dry), variablesOf(loud));
  assert.notDeepEqual(variablesOf(quiet), variablesOf(loud));
});

Deno.test("the noise is the same when the process dies and replays its journal, or steps on", async () => {
  await using world = await newWorld();
  const twin = await newRegistry().create({ ...spec([noise(1, 7)]), id: "run" });
  await world.registry.create({ ...spec([noise(1, 7)]), id: "run" });
  for (let n = 0; n < 4; n++) {
    const lease = world.registry.lease("run");
    step(world.registry.get("run") as Session, gradients(n));
    step(twin, gradients(n));
    await lease.durable();
    assert.deepEqual(variablesOf(world.registry.get("run") as Session), variablesOf(twin), `step ${n}`);
    lease.release();
    if (n % 2 === 0) await world.restart();
  }
});

Deno.test("a sparse gradient is refused when a transformer adds noise, and changes nothing", async () => {
  const session = await open(spec([{ class_name: "Scale", config: {} }, noise(0, 7)]));
  step(session, gradients(0));
  const before = stateOf(session);
  const mixed = { ...gradients(1), a: { indices: [2], values: tensor([1, 7], numbers(7, { seed: 1 })) } };
  for (const options of [{}, { dryRun: true }]) {
    const { code, issues } = refusal(() => step(session, mixed, options));
    assert.equal(code, "sparse_with_noise");
    assert.deepEqual(issues.map(({ path }) => path), ["gradients.a"]);
  }
  assert.deepEqual(stateOf(session), before);
});

Deno.test("AddGaussianNoise is refused when its numbers are missing or out of range", async () => {
  const configs = [
    [{}, ["seed", "stddev"]],
    [{ stddev: -1, seed: 0 }, ["stddev"]],
    [{ stddev: 1e39, seed: 0 }, ["stddev"]],
    [{ stddev: 1, seed: -1 }, ["seed"]],
    [{ stddev: 1, seed: 0.5 }, ["seed"]],
    [{ stddev: 1, seed: 2 ** 53 }, ["seed"]],
    [{ stddev: 1, seed: null }, ["seed"]],
  ] as const;
  for (const [config, keys] of configs) {
    let thrown: unknown;
    await open(spec([{ class_name: "AddGaussianNoise", config }])).catch((error) => thrown = error);
    const { code, issues } = refusal(() => {
      throw thrown;
    });
    assert.equal(code, "invalid_config");
    const paths = keys.map((key) => `gradient_transformers.0.config.${key}`);
    assert.deepEqual(issues.map(({ path }) => path).toSorted(), paths, JSON.stringify(config));
  }
});
