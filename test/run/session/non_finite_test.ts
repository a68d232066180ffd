/** Gradients that are not finite, under each policy. */
import assert from "node:assert/strict";
import type { Session } from "../../../src/run/session/session.ts";
import { open, refusal, stateOf, step, tensor, variablesOf } from "../support/harness.ts";

const SPARSE = { indices: [3, 1, 3], values: [[1, 2], [3, "-Infinity"], [5, 6]] };

async function openRun(non_finite?: "reject" | "skip" | "propagate"): Promise<Session> {
  return await open({
    optimizer: { class_name: "Adam", config: { learning_rate: 0.5 } },
    variables: [
      { name: "a", shape: [2, 3], initial: 1 },
      { name: "b", shape: [4, 2], initial: 1 },
      { name: "c", shape: [] },
    ],
    non_finite,
  });
}

const bad = () => {
  const values = new Array<number>(6).fill(1);
  values[4] = NaN;
  values[5] = Infinity;
  return tensor([2, 3], values);
};

Deno.test("a gradient that is not finite is refused by default, with the first index and value", async () => {
  const session = await openRun();
  step(session, { a: [[1, 2, 3], [4, 5, 6]] });
  const before = stateOf(session);
  const cases: [Record<string, unknown>, string, string][] = [
    [{ a: bad(), b: SPARSE }, "a", "is NaN at [1, 1] (the variable has shape [2, 3])"],
    [{ b: SPARSE }, "b", "is -Infinity at [1, 1] (the variable has shape [4, 2])"],
    [{ a: [[1, 1, 1], [1, 1, 1]], c: "Infinity" }, "c", "is Infinity at [] (the variable has shape [])"],
  ];
  for (const [gradients, name, message] of cases) {
    const { code, issues } = refusal(() => step(session, gradients));
    assert.equal(code, "non_finite_gradient");
    assert.deepEqual(issues, [{ path: `gradients.${name}`, message: `${message}, must be finite` }]);
    assert.deepEqual(stateOf(session), before);
  }
});

Deno.test("a float64 gradient that float32 cannot hold is refused", async () => {
  const session = await openRun();
  const bytes = new Uint8Array(Float64Array.of(1, 1e300, 1, 1, 1, 1).buffer);
  const a = { dtype: "float64", shape: [2, 3], base64: bytes.toBase64() };
  const { code, issues } = refusal(() => step(session, { a }));
  assert.equal(code, "non_finite_gradient");
  assert.match(issues[0]?.message ?? "", /^is Infinity at \[0, 1\]/);
});

Deno.test("finite gradients pass when the sum of their squares is beyond float32", async () => {
  const session = await openRun();
  const answer = step(session, { a: tensor([2, 3], new Array<number>(6).fill(3e38)) });
  assert.equal(answer.applied, true);
  assert.equal(answer.gradient_norm, Infinity, "squares are float32, as TensorFlow's");
});

Deno.test("a step is skipped with a warning when the policy is skip, and nothing changes", async () => {
  const session = await openRun("skip");
  step(session, { a: [[1, 2, 3], [4, 5, 6]], b: { indices: [0], values: [[1, 1]] } });
  const before = stateOf(session);
  for (const [gradients, name] of [[{ a: bad() }, "a"], [{ b: SPARSE }, "b"], [{ c: "NaN" }, "c"]] as const) {
    const answer = step(session, gradients);
    assert.equal(answer.applied, false);
    assert.equal(answer.iterations, 1);
    assert.equal(answer.version, 1);
    assert.equal(answer.warnings.length, 1);
    assert.match(
      answer.warnings[0] ?? "",
      new RegExp(`^The step was skipped: the gradient of "${name}" is `),
    );
    assert.deepEqual(stateOf(session), before);
  }
  assert.equal(step(session, { c: 1 }).applied, true);
});

Deno.test("a gradient that is not finite goes through the rule when the policy is propagate", async () => {
  const session = await openRun("propagate");
  const answer = step(session, { a: bad(), b: SPARSE });
  assert.deepEqual([answer.applied, answer.gradient_norm], [true, NaN]);
  assert.deepEqual(answer.warnings.map((text) => / is not finite in (\d) place/.exec(text)?.[1]), [
    ...["2", "2", "2"],
    ...["1", "1", "1"],
  ], "the variable and two slots of each");
  const { a = [], b = [], c } = variablesOf(session);
  assert.deepEqual(a.map(Number.isFinite), [true, true, true, true, false, false]);
  assert.deepEqual(b.map(Number.isFinite), [true, true, true, false, true, true, true, true]);
  assert.deepEqual(c, [0]);
});

Deno.test("a global norm that is not finite makes every gradient NaN when the policy is propagate, as in Keras", async () => {
  const session = await open({
    optimizer: { class_name: "SGD", config: { global_clipnorm: 1 } },
    variables: [{ name: "a", shape: [2] }, { name: "b", shape: [1] }],
    non_finite: "propagate",
  });
  const answer = step(session, { a: [1, "Infinity"], b: [1] });
  assert.deepEqual(variablesOf(session), { a: [NaN, NaN], b: [NaN] });
  assert.equal(answer.clip_factor, NaN);
});
