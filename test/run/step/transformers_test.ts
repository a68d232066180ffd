/** Gradient transformers one by one; pipeline_slow_test.ts has them in every order. */
import assert from "node:assert/strict";
import type { Session } from "../../../src/run/session/session.ts";
import { newRegistry, numbers, open, refusal, step, tensor, variablesOf } from "../support/harness.ts";
import * as oracle from "./support/oracle.ts";

const SGD = { class_name: "SGD", config: { learning_rate: 1 } };
const registry = newRegistry();

/** Minus the gradient as transformed: what SGD at rate 1 makes of zeros. */
async function transformed(
  transformer: unknown,
  shape: readonly number[],
  values: readonly number[],
): Promise<number[]> {
  const session = await registry.create({
    optimizer: SGD,
    variables: [{ name: "w", shape }],
    gradient_transformers: [transformer],
  });
  step(session, { w: tensor(shape, values) });
  return (variablesOf(session)["w"] ?? []).map((x) => 0 - x);
}

Deno.test("Centralize takes the mean over all axes but the last from a gradient when it has rank 2 or more", async () => {
  const shapes = [[3, 4], [1, 5], [5, 1], [2, 3, 4], [2, 3, 2, 5], [3, 3, 1, 1], [2, 1, 70], [130, 3]];
  for (const shape of shapes) {
    const values = numbers(shape.reduce((a, b) => a * b), { seed: shape.length });
    const got = await transformed("Centralize", shape, values);
    assert.deepEqual(got, oracle.centralized(values, shape), JSON.stringify(shape));
    const width = shape.at(-1) as number;
    const sum = got.reduce((total, x, at) => at % width === 0 ? total + x : total, 0);
    assert(Math.abs(sum) < 1e-4, `column 0 of ${JSON.stringify(shape)} adds up to ${sum}`);
  }
});

Deno.test("Centralize leaves a gradient as it is when it has rank 0 or 1, or is sparse", async () => {
  assert.deepEqual(await transformed("Centralize", [], [3]), [3]);
  assert.deepEqual(await transformed("Centralize", [3], [1, 2, 6]), [1, 2, 6]);
  const session = await open({
    optimizer: SGD,
    variables: [{ name: "w", shape: [3, 2] }],
    gradient_transformers: ["Centralize"],
  });
  step(session, { w: { indices: [2], values: [[1, 5]] } });
  assert.deepEqual(variablesOf(session)["w"], [0, 0, 0, 0, -1, -5]);
});

Deno.test("transformers take gradients without elements when a dimension is 0", async () => {
  for (const shape of [[0], [0, 3], [3, 0], [2, 0, 2]]) {
    for (
      const transformer of ["Centralize", "Scale", { class_name: "ClipByNorm", config: { clip_norm: 1 } }]
    ) {
      assert.deepEqual(await transformed(transformer, shape, []), []);
    }
  }
});

Deno.test("Scale multiplies by its number as float32", async () => {
  assert.deepEqual(await transformed({ class_name: "Scale", config: { scale: 0.1 } }, [2], [3, -7]), [
    Math.fround(3 * Math.fround(0.1)),
    Math.fround(-7 * Math.fround(0.1)),
  ]);
});

Deno.test("ClipByNorm divides by the norm as Keras does when the norm is below it too", async () => {
  const values = numbers(33, { seed: 5 });
  for (const clip_norm of [0.1, 1.7, 100]) {
    const got = await transformed({ class_name: "ClipByNorm", config: { clip_norm } }, [33], values);
    assert.deepEqual(got, oracle.clipByNorm(values, clip_norm));
  }
});

Deno.test("ClipByNorm takes the norm of the stored rows when rows repeat", async () => {
  const session = await open({
    optimizer: SGD,
    variables: [{ name: "w", shape: [3] }],
    gradient_transformers: [{ class_name: "ClipByNorm", config: { clip_norm: 1 } }],
  });
  step(session, { w: { indices: [1, 1, 2], values: [1, 2, 4] } });
  const third = oracle.clipByNorm([1, 2, 4], 1);
  const first = Math.fround(-(third[0] as number) - (third[1] as number));
  assert.deepEqual(variablesOf(session)["w"], [0, first, -(third[2] as number)]);
});

const WEIGHTS = [1, -2, 3, 0.5, -0.25, 8];

async function openDecaying(optimizer: unknown, weight_decay: number): Promise<Session> {
  return await open({
    optimizer,
    variables: [{ name: "w", shape: [3, 2], initial: tensor([3, 2], WEIGHTS) }],
    gradient_transformers: [{ class_name: "AddDecayedWeights", config: { weight_decay } }],
  });
}

Deno.test("AddDecayedWeights adds each touched row once when SGD's rows repeat", async () => {
  const session = await openDecaying(SGD, 0.5);
  step(session, { w: { indices: [2, 0, 2], values: [[1, 1], [2, 2], [3, 3]] } });
  // Row 0: w − (2 + w/2); row 1 untouched; row 2: w − (4 + w/2).
  assert.deepEqual(variablesOf(session)["w"], [-1.5, -3, 3, 0.5, -4.125, 0]);
});

Deno.test("AddDecayedWeights keeps its number apart from the optimizer's when both are weight_decay", async () => {
  const rate = 0.25;
  const adamw = {
    class_name: "AdamW",
    config: { learning_rate: rate, weight_decay: 0.5, beta_1: 0, beta_2: 0 },
  };
  const g = [1, 1, -1, 2, 4, -8];
  const f = Math.fround;
  const wanted = (decay: number) =>
    WEIGHTS.map((w, at) => {
      const gradient = f((g[at] as number) + f(decay * w));
      const shrunk = f(w - f(f(w * 0.5) * rate));
      return f(shrunk - f(f(gradient * rate) / f(Math.abs(gradient) + f(1e-7))));
    });
  for (const decay of [0, 0.125, 2]) {
    const dense = await openDecaying(adamw, decay);
    step(dense, { w: tensor([3, 2], g) });
    assert.deepEqual(variablesOf(dense)["w"], wanted(decay));
    // All rows, none twice: the transformer sees what the dense one sees, the variable before the step.
    const sparse = await openDecaying(adamw, decay);
    step(sparse, { w: { indices: [0, 1, 2], values: tensor([3, 2], g) } });
    assert.deepEqual(variablesOf(sparse)["w"], wanted(decay));
  }
});

Deno.test("a transformer is refused when its class or its config is unknown", async () => {
  const attempt = (transformer: unknown) => {
    let thrown: unknown;
    return transformed(transformer, [1], [1]).catch((error) => thrown = error)
      .then(() =>
        refusal(() => {
          throw thrown;
        })
      );
  };
  assert.equal((await attempt("Nothing")).code, "unknown_class");
  const { code, issues } = await attempt({ class_name: "ClipByNorm", config: {} });
  assert.equal(code, "invalid_config");
  assert.equal(issues[0]?.path, "gradient_transformers.0.config.clip_norm");
});
