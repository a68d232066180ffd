/** The variables that a step changes, its refusals, and its answer. */
import assert from "node:assert/strict";
import {
  codeOf,
  open,
  refusal,
  setVariables,
  slotsOf,
  stateOf,
  step,
  tensor,
  variablesOf,
} from "../support/harness.ts";
import * as oracle from "../step/support/oracle.ts";

const TWO = [{ name: "a", shape: [2], initial: [1, 2] }, { name: "b", shape: [2, 1], initial: [[3], [4]] }];
const SGD = { class_name: "SGD", config: { learning_rate: 0.5 } };
const MOMENTUM = { class_name: "SGD", config: { learning_rate: 0.5, momentum: 0.5 } };

Deno.test("applyGradients() skips variables whose gradient is null, with a warning", async () => {
  const session = await open({ optimizer: MOMENTUM, variables: TWO });
  const answer = step(session, { b: null, a: [1, 1] });
  assert.deepEqual(answer.warnings, ["Gradients do not exist for the variables b: they stay as they are"]);
  assert.deepEqual(answer.variables, { a: { gradient_norm: Math.SQRT2 } });
  assert.deepEqual(variablesOf(session), { a: [0.5, 1.5], b: [3, 4] });
  assert.deepEqual(slotsOf(session)["momentum"], { a: [-0.5, -0.5], b: [0, 0] });
});

Deno.test("applyGradients() skips variables that are not named, without a warning", async () => {
  const session = await open({ optimizer: SGD, variables: TWO });
  assert.deepEqual(step(session, { b: [[1], [1]] }).warnings, []);
  assert.deepEqual(variablesOf(session), { a: [1, 2], b: [2.5, 3.5] });
});

Deno.test("applyGradients() refuses a step when all gradients are null or none is given", async () => {
  const session = await open({ optimizer: SGD, variables: TWO });
  const before = stateOf(session);
  for (const gradients of [{}, { a: null }, { a: null, b: null }]) {
    const { code, message } = refusal(() => step(session, gradients));
    assert.equal(code, "no_gradients");
    assert.match(message, /no gradients provided for any variable, must be for one or more of a, b$/);
    assert.deepEqual(stateOf(session), before);
  }
});

Deno.test("weights() lists slots in the order of first gradients when variables get them one after the other", async () => {
  const session = await open({
    optimizer: "Adam",
    variables: ["a", "b", "c"].map((name) => ({ name, shape: [] })),
  });
  const names = () => session.weights().tensors.map(({ name }) => name);
  assert.deepEqual(names(), []);
  step(session, { b: 1 });
  assert.deepEqual(names(), ["b/m", "b/v"]);
  step(session, { c: 1, a: 1, b: 1 });
  assert.deepEqual(names(), ["b/m", "b/v", "c/m", "a/m", "c/v", "a/v"]);
  const ftrl = await open({
    optimizer: "Ftrl",
    variables: ["a", "b"].map((name) => ({ name, shape: [] })),
  });
  step(ftrl, { b: 1, a: 1 });
  assert.deepEqual(ftrl.weights().tensors.map(({ name }) => name), [
    "b/accumulator",
    "b/linear",
    "a/accumulator",
    "a/linear",
  ]);
});

Deno.test("applyGradients() refuses a base_iteration in the future", async () => {
  const session = await open({ optimizer: SGD, variables: TWO });
  const at = (baseIteration: number) => () => step(session, { a: [1, 1] }, { baseIteration });
  assert.equal(codeOf(at(1)), "invalid_request");
  at(0)();
  at(1)();
  at(0)();
  const { issues } = refusal(at(4));
  assert.deepEqual(issues, [{
    path: "base_iteration",
    message: "is 4, must be at most 3, the run's iterations",
  }]);
  assert.equal(session.iterations, 3);
});

Deno.test("applyGradients() applies already aggregated contributions unchanged", async () => {
  const [one, other] = await Promise.all([0, 1].map(() => open({ optimizer: "Adam", variables: TWO })));
  assert(one && other);
  step(one, { a: [1, 2] }, { aggregate: false, clientId: "phone", weight: 3 });
  step(other, { a: [1, 2] });
  assert.deepEqual(stateOf(one), stateOf(other));
});

Deno.test("applyGradients() refuses a sparse gradient when the variable has a constraint, even one without rows", async () => {
  const session = await open({
    optimizer: SGD,
    variables: [...TWO, { name: "c", shape: [2], constraint: "NonNeg" }],
  });
  const before = stateOf(session);
  for (const [indices, values] of [[[0], [1]], [[], []]]) {
    const { code, issues } = refusal(() => step(session, { a: [1, 1], c: { indices, values } }));
    assert.equal(code, "sparse_with_constraint");
    assert.deepEqual(issues, [{
      path: "gradients.c",
      message: "is sparse, must be dense: the variable has the constraint NonNeg",
    }]);
    assert.deepEqual(stateOf(session), before);
  }
});

Deno.test("a row is added to zero, repeated or not, so that its -0 becomes 0", async () => {
  for (const indices of [[1], [1, 1]]) {
    const session = await open({
      optimizer: "Adagrad",
      variables: [{ name: "w", shape: [2], initial: tensor([2], [-0, -0]) }],
    });
    // −0 − 0 stays −0, where −0 − (−0) would be 0.
    step(session, { w: { indices, values: tensor([indices.length], indices.map(() => -0)) } });
    assert.deepEqual(variablesOf(session)["w"], [-0, -0]);
  }
});

Deno.test("the answer has rates, norms before clipping and the smallest clip factor", async () => {
  const rate = {
    class_name: "InverseTimeDecay",
    config: { initial_learning_rate: 1, decay_steps: 1, decay_rate: 1 },
  };
  const session = await open({
    optimizer: { class_name: "SGD", config: { learning_rate: rate, clipnorm: 2 } },
    variables: [...TWO, { name: "c", shape: [] }],
  });
  const { version, ...answer } = step(session, {
    a: [3, 4],
    b: { indices: [1, 1], values: [[6], [8]] },
    c: 0,
  });
  assert.equal(version, 1);
  assert.deepEqual(answer, {
    applied: true,
    iterations: 1,
    learning_rate: 1,
    gradient_norm: Math.sqrt(125),
    clip_factor: 0.2,
    contributions: 1,
    // Repeated rows are not added up before the norm is computed.
    variables: { a: { gradient_norm: 5 }, b: { gradient_norm: 10 }, c: { gradient_norm: 0 } },
    warnings: [],
  });
  assert.equal(step(session, { a: [0.3, 0.4] }).clip_factor, 1);
  assert.equal(step(session, { a: [0, 0] }).learning_rate, Math.fround(1 / 3));
});

Deno.test("the answer's clip factor is the global scale when the global norm clips", async () => {
  const session = await open({
    optimizer: { class_name: "SGD", config: { global_clipnorm: 2, clipvalue: 3 } },
    variables: TWO,
  });
  const answer = step(session, { a: [3, 4], b: [[0], [5]] });
  assert.equal(answer.clip_factor, oracle.globalScale([[3, 3], [0, 3]], 2));
  assert.equal(answer.gradient_norm, Math.sqrt(50));
  // Not exactly 1 below the threshold, as in TensorFlow: 2.9 · (1 / 2.9) rounds down.
  session.patchOptimizer({ global_clipnorm: 2.9 });
  assert.equal(step(session, { a: [0, 1] }).clip_factor, 0.9999999403953552);
});

Deno.test("steps() remembers the latest applied steps, newest first", async () => {
  const session = await open({ optimizer: SGD, variables: TWO });
  for (let n = 0; n < 70; n++) step(session, { a: [n, 0] });
  step(session, { a: [9, 9] }, { dryRun: true });
  setVariables(session, { a: [0, 0] });
  assert.deepEqual(session.steps(2).map(({ iterations, gradient_norm }) => [iterations, gradient_norm]), [
    [70, 69],
    [69, 68],
  ]);
  assert.equal(session.steps(1000).length, 64);
  assert.equal(session.steps(1000).at(-1)?.iterations, 7);
});

Deno.test("setVariables() sets the named variables, keeps slots, and refuses rows, nulls and an empty body", async () => {
  const session = await open({ optimizer: MOMENTUM, variables: TWO });
  step(session, { a: [1, 1] });
  const before = stateOf(session);
  assert.equal(codeOf(() => setVariables(session, {})), "invalid_request");
  assert.equal(codeOf(() => setVariables(session, { a: null })), "invalid_request");
  assert.equal(codeOf(() => setVariables(session, { a: { indices: [0], values: [1] } })), "invalid_request");
  assert.equal(codeOf(() => setVariables(session, { b: [[5], [6]], a: [1] })), "shape_mismatch");
  assert.deepEqual(stateOf(session), before);
  setVariables(session, { b: tensor([2, 1], [-0, NaN]) });
  assert.deepEqual(stateOf(session), {
    ...before,
    version: 2,
    variables: { a: [0.5, 1.5], b: [-0, NaN] },
  });
});

Deno.test("variables may have any name, also that of an inherited property", async () => {
  const names = [
    "__proto__",
    "constructor",
    "toString",
    "0",
    " ",
    "a/b:0",
    "w",
    "learning_rate",
    "é\u{1f600}",
  ];
  const session = await open({
    optimizer: MOMENTUM,
    variables: names.map((name) => ({ name, shape: [1], initial: 1 })),
  });
  const { variables } = step(session, JSON.parse(`{${names.map((name) => `${JSON.stringify(name)}: [2]`)}}`));
  for (const name of names) {
    assert.deepEqual(Object.getOwnPropertyDescriptor(variables, name)?.value, { gradient_norm: 2 });
  }
  const { tensors } = session.publish(names);
  assert.deepEqual(tensors.map(({ name, values }) => [name, values[0]]), names.map((name) => [name, 0]));
});
