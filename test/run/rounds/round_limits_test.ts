/** Edge cases of rounds: what must be refused early, and what must not depend on chance. */
import assert from "node:assert/strict";
import type { AggregationSpec, RunSpec } from "../../../src/run/api/run_spec.ts";
import type { Session } from "../../../src/run/session/session.ts";
import {
  codeOf,
  contribute,
  open,
  refusal,
  send,
  setVariables,
  step,
  variablesOf,
} from "../support/harness.ts";
import { newWorld } from "../support/stored.ts";

const spec = (aggregation: AggregationSpec, more: Partial<RunSpec> = {}): RunSpec => ({
  optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
  variables: [{ name: "w", shape: [2] }],
  aggregation,
  ...more,
});
const w = (session: Session) => variablesOf(session)["w"];

Deno.test("max_staleness holds in mode immediate too, whatever the other settings are", async () => {
  const session = await open(spec({ mode: "immediate", max_staleness: 1 }));
  for (let n = 0; n < 3; n++) assert.equal(step(session, { w: [0, 0] }).round, undefined);
  assert.equal(codeOf(() => send(session, { w: [1, 1] }, { baseIteration: 1 })), "too_stale");
  step(session, { w: [1, 1] }, { baseIteration: 2 });
  assert.deepEqual(w(session), [-1, -1]);
});

Deno.test("a contribution that the run's transformers cannot take is refused before it can block its round", async () => {
  const session = await open(spec({ mode: "round", quorum: 2 }, {
    gradient_transformers: [{ class_name: "AddGaussianNoise", config: { stddev: 1, seed: 7 } }],
    variables: [{ name: "w", shape: [2, 1] }],
  }));
  const sparse = { w: { indices: [1], values: [[1]] } };
  assert.equal(codeOf(() => send(session, sparse)), "sparse_with_noise");
  contribute(session, { w: [[1], [1]] });
  assert.equal(codeOf(() => send(session, sparse)), "sparse_with_noise");
  assert.equal(step(session, { w: [[1], [1]] }).applied, true);
});

Deno.test("a sum of weights is not computed again after the variables have changed", async () => {
  await using world = await newWorld();
  const session = await world.registry.create(spec({ mode: "round", quorum: 3, payload: "weights" }));
  contribute(session, { w: [1, 1] }, { clientId: "a" });
  setVariables(session, { w: [10, 10] });
  // The only contribution can be withdrawn, because nothing has to be added up again.
  session.withdraw("a");
  contribute(session, { w: [2, 2] }, { clientId: "a" });
  contribute(session, { w: [4, 4] }, { clientId: "b" });
  session.withdraw("a");
  contribute(session, { w: [3, 3] }, { clientId: "a" });
  setVariables(session, { w: [20, 20] });
  const { code, message } = refusal(() => session.withdraw("a"));
  assert.equal(code, "not_withdrawable");
  assert.match(
    message,
    /the client "a".* the variables that others were subtracted from have changed since$/,
  );
  step(session, { w: [0, 0] }, { clientId: "c" });
  const expected = 20 - (10 - 4) - (10 - 3) - (20 - 0);
  assert.deepEqual(w(session), [expected, expected]);
});

Deno.test("rows are added up before they join a dense sum, whether or not there was memory to merge them early", async () => {
  for (const rows of [2, 9]) {
    const session = await open(spec({ mode: "round", quorum: 4 }, {
      variables: [{ name: "w", shape: [rows, 1] }],
    }));
    const sparse = { w: { indices: [0], values: [[4]] } };
    contribute(session, sparse);
    contribute(session, { w: Array.from({ length: rows }, () => [1e8]) });
    contribute(session, sparse);
    step(session, sparse);
    assert.equal(w(session)?.[0], -Math.fround(1e8 + 12), `${rows} rows`);
  }
});

Deno.test("values of an average must be dense, also from a caller that has aggregated", async () => {
  const session = await open(spec({ mode: "round", quorum: 2 }, {
    variables: [{ name: "w", shape: [2] }, { name: "mean", shape: [4, 1], role: "average", initial: 9 }],
  }));
  const sparse = { w: [1, 1], mean: { indices: [1], values: [[5]] } };
  for (const aggregate of [true, false]) {
    assert.equal(codeOf(() => send(session, sparse, { aggregate })), "sparse_with_aggregator");
  }
  step(session, { w: [1, 1], mean: [[1], [2], [3], [4]] }, { aggregate: false });
  assert.deepEqual(variablesOf(session), { w: [-1, -1], mean: [1, 2, 3, 4] });
});
