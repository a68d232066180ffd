/** get_weights and set_weights beyond the cases in the goldens. */
import assert from "node:assert/strict";
import type { Session } from "../../../src/run/session/session.ts";
import { open, refusal, stateOf, step, tensor, variablesOf } from "../support/harness.ts";

const VARIABLES = [{ name: "a", shape: [2, 2], initial: 1 }, { name: "b", shape: [3], initial: 1 }];
const GRADIENTS = { a: [[1, 2], [3, 4]], b: [5, 6, 7] };

async function stepped(optimizer: unknown, times = 1): Promise<Session> {
  const session = await open({ optimizer, variables: VARIABLES });
  for (let n = 0; n < times; n++) step(session, GRADIENTS);
  return session;
}

/** Converts the result of get_weights to the list for set_weights. */
function listOf(session: Session): unknown[] {
  const { iterations, tensors } = session.weights();
  return iterations === null
    ? []
    : [iterations, ...tensors.map(({ shape, values }) => tensor(shape, values))];
}

Deno.test("setWeights() makes a run step on with the same bits as the run whose weights and variables it gets", async () => {
  for (
    const optimizer of ["Adam", "Nadam", "Ftrl", {
      class_name: "RMSprop",
      config: { momentum: 0.9, centered: true },
    }]
  ) {
    const one = await stepped(optimizer, 3);
    const initial = variablesOf(one);
    const other = await open({
      optimizer,
      variables: VARIABLES.map(({ name, shape }) => ({
        name,
        shape,
        initial: tensor(shape, initial[name] ?? []),
      })),
    });
    // On a new run, the whole list creates the weights that it sets; Keras needs a separate call for that.
    other.setWeights(listOf(one));
    assert.equal(other.version, 1);
    step(one, GRADIENTS);
    step(other, GRADIENTS);
    const { version: _, steps: __, ...state } = stateOf(other);
    const { version: ___, steps: ____, ...wanted } = stateOf(one);
    assert.deepEqual(state, wanted);
  }
});

Deno.test("setWeights() refuses lists of another length or with other shapes, and changes nothing", async () => {
  const session = await stepped("Adam");
  const [iterations, ma, mb, va, vb] = listOf(session);
  const before = stateOf(session);
  const table: [unknown[], RegExp][] = [
    [[], /the list has 0, must have 5/],
    [[iterations], /the list has 1, must have 5/],
    [[ma, mb, va, vb], /the list has 4, must have 5/],
    [[iterations, ma, mb, va, vb, vb], /the list has 6, must have 5/],
    [[iterations, ma, mb, va, va], /weights\.4 has shape \[2, 2\], must be \[3\]/],
    [[iterations, ma, 0, va, vb], /weights\.2 has shape \[\], must be \[3\]/],
    [[ma, ma, mb, va, vb], /weights\.0 is the iteration count/],
    [[1.5, ma, mb, va, vb], /weights\.0 is the iteration count/],
    [[-1, ma, mb, va, vb], /weights\.0 is the iteration count/],
    [[2 ** 60, ma, mb, va, vb], /weights\.0 is the iteration count/],
    [["NaN", ma, mb, va, vb], /weights\.0 is the iteration count/],
  ];
  for (const [list, message] of table) {
    const refused = refusal(() => session.setWeights(list));
    assert.equal(refused.code, "invalid_weights");
    assert.match(refused.message, message);
    assert.deepEqual(stateOf(session), before);
  }
  for (const wrong of [{}, [1, [2]], "one", null, { dtype: "complex64", shape: [3], base64: "AAAAAAAA" }]) {
    refusal(() => session.setWeights([iterations, ma, mb, va, wrong]));
    assert.deepEqual(stateOf(session), before);
  }
});

Deno.test("setWeights() takes lists without a count when Keras' first optimizers saved them so", async () => {
  for (const optimizer of ["Adadelta", "Adagrad", "RMSprop"]) {
    const session = await stepped(optimizer);
    session.setWeights(listOf(session).slice(1));
    assert.equal(session.iterations, 0);
  }
  const session = await stepped("Adamax");
  assert.equal(refusal(() => session.setWeights(listOf(session).slice(1))).code, "invalid_weights");
});

Deno.test("setWeights() drops unused second moments from a list", async () => {
  const session = await stepped("Adam");
  const before = stateOf(session);
  session.setWeights([...listOf(session), [[9, 9], [9, 9]], [9, 9, 9]]);
  assert.deepEqual(stateOf(session), { ...before, version: 2 });
});

Deno.test("setWeights() does nothing for an empty list on a new run, or for Adam's count alone, as in Keras", async () => {
  for (const [optimizer, list] of [["SGD", []], ["Nadam", []], ["Adam", []], ["Adam", [5]]] as const) {
    const session = await open({ optimizer, variables: VARIABLES });
    session.setWeights(list);
    assert.deepEqual([session.version, session.iterations, session.weights().iterations], [0, 0, null]);
  }
});

Deno.test("setWeights() keeps every digit of a count beyond 2^24", async () => {
  const session = await stepped("SGD");
  for (const iterations of [2 ** 24 + 1, 2 ** 40 + 3]) {
    session.setWeights([iterations]);
    assert.equal(session.iterations, iterations);
    assert.equal(session.weights().iterations, iterations);
  }
});

Deno.test("setWeights() accepts tensors received as bytes", async () => {
  const session = await stepped({ class_name: "SGD", config: { momentum: 0.5 } });
  session.setWeights([
    7,
    { shape: [2, 2], values: Float32Array.of(1, -0, NaN, 2) },
    { shape: [3], values: Float32Array.of(3, 4, 5) },
  ]);
  const { iterations, tensors } = session.weights();
  assert.deepEqual([iterations, ...tensors.map(({ values }) => [...values])], [7, [1, -0, NaN, 2], [
    3,
    4,
    5,
  ]]);
});

Deno.test("setWeights() follows the order of creation when variables got slots one after the other", async () => {
  const session = await open({
    optimizer: { class_name: "SGD", config: { momentum: 0.5 } },
    variables: VARIABLES,
  });
  step(session, { b: [1, 1, 1] });
  session.setWeights([4, [7, 8, 9]]);
  assert.deepEqual(session.readSlot("momentum").map(({ values }) => [...values]), [[0, 0, 0, 0], [7, 8, 9]]);
  step(session, { a: [[0, 0], [0, 0]] });
  session.setWeights([4, [1, 2, 3], [[4, 5], [6, 7]]]);
  assert.deepEqual(session.readSlot("momentum").map(({ values }) => [...values]), [[4, 5, 6, 7], [1, 2, 3]]);
});
