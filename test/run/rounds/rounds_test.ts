/** Rounds: which contributions make a step, and how they are combined. */
import assert from "node:assert/strict";
import type { AggregationSpec, RunSpec } from "../../../src/run/api/run_spec.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { codeOf, contribute, open, send, step, variablesOf } from "../support/harness.ts";

const SGD = { class_name: "SGD", config: { learning_rate: 1 } };
const spec = (aggregation: AggregationSpec, more: Partial<RunSpec> = {}): RunSpec => ({
  optimizer: SGD,
  variables: [{ name: "w", shape: [2] }],
  aggregation,
  ...more,
});
const w = (session: Session) => variablesOf(session)["w"];

Deno.test("a round of two is a step with the second contribution", async () => {
  const session = await open(spec({ mode: "round", quorum: 2 }));
  const first = contribute(session, { w: [1, 2] }, { clientId: "a" });
  assert.deepEqual(
    [
      first.applied,
      first.accepted,
      first.round,
      first.contributions,
      first.missing,
      first.iterations,
      first.version,
    ],
    [false, true, 0, 1, 1, 0, 0],
  );
  assert.deepEqual(w(session), [0, 0]);
  const second = step(session, { w: [10, 20] }, { clientId: "b" });
  assert.deepEqual(
    [second.applied, second.round, second.contributions, second.iterations, second.version],
    [true, 0, 2, 1, 1],
  );
  assert.deepEqual(w(session), [-11, -22]);
  assert.deepEqual(session.round().round, 1);
  assert.deepEqual(session.round().accepted, 0);
});

Deno.test("each aggregator with a sum divides by its documented divisor", async () => {
  const expected = { Sum: [-4, -8], Mean: [-2, -4], WeightedMean: [-2.5, -5] };
  for (const [aggregator, values] of Object.entries(expected)) {
    const session = await open(spec({ mode: "round", quorum: 2, aggregator }));
    contribute(session, { w: [1, 2] }, { weight: 1 });
    step(session, { w: [3, 6] }, { weight: 3 });
    assert.deepEqual(w(session), values, aggregator);
  }
});

Deno.test("deltas and weights move the variables towards the clients' values", async () => {
  for (const payload of ["delta", "weights"] as const) {
    const session = await open(spec({ mode: "round", quorum: 2, aggregator: "Mean", payload }));
    contribute(session, { w: [1, 2] });
    step(session, { w: [3, 6] });
    assert.deepEqual(w(session), [2, 4], payload);
  }
});

Deno.test("client_clipnorm bounds every contribution, over all of its variables", async () => {
  const session = await open(spec({ mode: "round", quorum: 2, client_clipnorm: 5 }, {
    variables: [{ name: "w", shape: [1] }, { name: "v", shape: [1] }],
  }));
  const first = contribute(session, { w: [30], v: [40] });
  assert.deepEqual([first.gradient_norm, first.clip_factor], [50, Math.fround(0.1)]);
  step(session, { w: [3], v: [4] });
  assert.deepEqual(variablesOf(session), { w: [-6], v: [-8] });
});

Deno.test("stale contributions to a buffer get less weight, and those beyond the bound are refused", async () => {
  const session = await open(spec({
    mode: "buffer",
    buffer_size: 2,
    max_staleness: 2,
    staleness_weighting: { class_name: "Polynomial", config: { exponent: 1 } },
  }));
  for (let n = 0; n < 3; n++) {
    contribute(session, { w: [0, 0] });
    step(session, { w: [0, 0] });
  }
  assert.equal(contribute(session, { w: [4, 4] }, { baseIteration: 2 }).staleness, 1);
  assert.equal(codeOf(() => contribute(session, { w: [4, 4] }, { baseIteration: 0 })), "too_stale");
  step(session, { w: [1, 1] }, { baseIteration: 3 });
  assert.deepEqual(w(session), [-3, -3]);
});

Deno.test("a round has at most one contribution per client", async () => {
  const session = await open(spec({ mode: "round", quorum: 2 }));
  contribute(session, { w: [1, 2] }, { clientId: "a" });
  assert.equal(codeOf(() => contribute(session, { w: [1, 2] }, { clientId: "a" })), "contribution_repeated");
  step(session, { w: [1, 2] }, { clientId: "b" });
  assert.equal(contribute(session, { w: [1, 2] }, { clientId: "a" }).round, 1);
});

Deno.test("variables with the role average take the weighted mean of the clients' values", async () => {
  for (const aggregator of ["Mean", "Median"]) {
    const session = await open(spec({ mode: "round", quorum: 2, aggregator }, {
      optimizer: "Adam",
      variables: [{ name: "w", shape: [2] }, { name: "mean", shape: [2], role: "average", initial: [9, 9] }],
    }));
    contribute(session, { w: [1, 1], mean: [1, 2] }, { weight: 1 });
    step(session, { w: [1, 1], mean: [5, 6] }, { weight: 3 });
    assert.deepEqual(variablesOf(session)["mean"], [4, 5], aggregator);
    assert.deepEqual(session.readSlot("m").map(({ name }) => name), ["w"]);
  }
});

Deno.test("sparse contributions give the union of their rows", async () => {
  const variables = [{ name: "w", shape: [4, 2] }];
  const sparse = (indices: number[], value: number) => ({
    w: { indices, values: indices.map(() => [value, value]) },
  });
  const session = await open(spec({ mode: "round", quorum: 3, aggregator: "Mean" }, { variables }));
  contribute(session, sparse([3, 0, 3], 3));
  contribute(session, sparse([1], 6));
  step(session, sparse([0], 9));
  assert.deepEqual(variablesOf(session)["w"], [-4, -4, -2, -2, 0, 0, -2, -2]);
  // Dense and sparse contributions together give a dense gradient.
  contribute(session, sparse([2], 3));
  contribute(session, { w: [[3, 3], [3, 3], [3, 3], [3, 3]] });
  step(session, sparse([2], 3));
  assert.deepEqual(variablesOf(session)["w"], [-5, -5, -3, -3, -3, -3, -3, -3]);
});

Deno.test("a refused contribution does not change the round", async () => {
  const session = await open(spec({ mode: "round", quorum: 2 }));
  contribute(session, { w: [1, 2] });
  assert.equal(codeOf(() => send(session, { w: [1, "NaN"] })), "non_finite_gradient");
  assert.equal(codeOf(() => send(session, { w: [1, 2, 3] })), "shape_mismatch");
  assert.equal(
    codeOf(() => send(session, { w: [1, 2] }, { hyperparameters: { learning_rate: 2 } })),
    "invalid_request",
  );
  assert.equal(session.round().accepted, 1);
  step(session, { w: [1, 2] });
  assert.deepEqual(w(session), [-2, -4]);
});

Deno.test("a contribution that the caller has aggregated becomes a step directly", async () => {
  const session = await open(spec({ mode: "round", quorum: 2 }));
  contribute(session, { w: [1, 1] });
  assert.equal(step(session, { w: [5, 5] }, { aggregate: false }).applied, true);
  assert.deepEqual(w(session), [-5, -5]);
  assert.equal(session.round().accepted, 1);
});
