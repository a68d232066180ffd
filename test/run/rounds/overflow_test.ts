/** Finite contributions whose float32 arithmetic is not finite: one alone, several together, and replays of old ones. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { AggregationSpec } from "../../../src/run/api/run_spec.ts";
import type { ContributionAnswer } from "../../../src/run/api/steps.ts";
import { writeTensors } from "../../../src/wire/json_tensors.ts";
import { contribute, open, refusal, send, stateOf, step, variablesOf } from "../support/harness.ts";
import { newWorld, request } from "../support/stored.ts";

const BIG = 3e38;

const specOf = (aggregation: AggregationSpec, non_finite: "reject" | "skip" | "propagate" = "reject") => ({
  optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
  variables: [
    { name: "w", shape: [3], initial: [1, -BIG, 0] },
    { name: "mean", shape: [1], role: "average" as const },
  ],
  aggregation,
  non_finite,
});

const round = (more: Partial<AggregationSpec> = {}): AggregationSpec => ({
  mode: "round",
  quorum: 2,
  aggregator: "WeightedMean",
  ...more,
});

const twice = { w: { indices: [2, 0, 2], values: [BIG, 1, BIG] } };
const ALONE: [string, AggregationSpec, unknown, number?][] = [
  ["repeated rows of a step", { mode: "immediate" }, twice],
  ["repeated rows of a round", round(), twice],
  ["rows times a weight", round(), { w: { indices: [1], values: [1e20] } }, 1e20],
  ["elements times a weight", round(), { w: [1, 1e20, 1] }, 1e20],
  ["an average times a weight", round(), { mean: [1e20] }, 1e20],
  ["new weights far from the variable", round({ payload: "weights" }), { w: [0, BIG, 0] }],
  ["rows of new weights far from the variable", round({ payload: "weights" }), {
    w: { indices: [1], values: [BIG] },
  }],
  [
    "a delta times a weight in mode immediate",
    { mode: "immediate", payload: "delta", aggregator: "WeightedMean" },
    { w: [BIG, 0, 0] },
    2,
  ],
];

for (const [what, aggregation, gradients, weight] of ALONE) {
  Deno.test(`a contribution that overflows by itself is refused or skipped: ${what}`, async () => {
    const refusing = await open(specOf(aggregation));
    const before = [stateOf(refusing), refusing.round()];
    const { code, issues } = refusal(() => send(refusing, gradients, { weight }));
    assert.equal(code, "non_finite_gradient");
    assert.match(issues[0]?.path ?? "", /^gradients\.(w|mean)$/);
    assert.deepEqual([stateOf(refusing), refusing.round()], before);

    const skipping = await open(specOf(aggregation, "skip"));
    const answer = send(skipping, gradients, { weight });
    assert.equal(answer.applied, false);
    assert.equal(answer.warnings.length, 1);
    assert.deepEqual(variablesOf(skipping), variablesOf(refusing));

    const propagating = await open(specOf(aggregation, "propagate"));
    send(propagating, gradients, { weight });
  });
}

Deno.test("a norm clip that keeps a contribution finite keeps it accepted", async () => {
  const session = await open(specOf(round({ client_clipnorm: 1 })));
  assert.equal(contribute(session, { w: [1e18, 0, 0] }, { weight: 1e30 }).accepted, true);
});

const TOGETHER: [string, AggregationSpec, unknown, number?][] = [
  ["a sum", round({ aggregator: "Sum" }), { w: [BIG, 0, 0] }],
  ["a mean", round({ aggregator: "Mean" }), { w: [BIG, 0, 0] }],
  ["united rows", round(), { w: { indices: [0], values: [BIG] } }],
  ["a sum of weights", round(), { w: [0, 1e-30, 0] }, BIG],
  ["averages", round(), { mean: [BIG] }],
  ["averages beside a median", round({ aggregator: "Median", partial: true }), { mean: [BIG] }],
  [
    "what MultiKrum keeps",
    round({ quorum: 4, aggregator: { class_name: "MultiKrum", config: { byzantine: 0 } }, partial: true }),
    { w: [BIG, 0, 0] },
  ],
];

for (const [what, aggregation, gradients, weight] of TOGETHER) {
  for (const policy of ["reject", "skip"] as const) {
    Deno.test(`a round that overflows is dropped, also by its replay: ${what}, ${policy}`, async () => {
      await using world = await newWorld();
      await world.registry.create({ id: "run", ...specOf(aggregation, policy) });
      const all = () =>
        request(world.registry, "run", (session) => ({
          state: stateOf(session),
          outcome: session.outcome(0),
          round: session.round().round,
          dropped: session.events.since("").events.filter(({ type }) => type === "round_dropped"),
          replies: session.replies.all,
        }));
      const before = await all();
      let answer: ContributionAnswer | undefined;
      for (let n = 0; n < (aggregation.quorum ?? 0); n++) {
        const key = { key: `k${n}`, hash: "h", at: 0 };
        answer = await request(world.registry, "run", (run) => contribute(run, gradients, { weight, key }));
      }
      assert.equal(answer?.accepted, true);
      assert.match(answer?.warnings.at(-1) ?? "", /^Round 0 was dropped: non_finite: /);
      const after = await all();
      assert.deepEqual(after.state, before.state);
      assert.deepEqual([after.round, after.outcome?.kind], [1, "dropped"]);
      assert.match(String(after.dropped[0]?.data["reason"]), /^non_finite: /);
      await world.restart();
      assert.deepEqual(await all(), after);
    });
  }
}

Deno.test("a journal replays what an earlier version accepted, to the same bits", async () => {
  // An earlier version made no checks of results, as a replay makes none.
  const old = { isRecorded: true };
  const law = async (policy: "reject" | "skip", weight: number, indices: number[], value: number) => {
    await using world = await newWorld();
    const aggregation = round({ mode: "buffer", quorum: undefined, buffer_size: 1 });
    await world.registry.create({ id: "run", ...specOf(aggregation, policy) });
    await world.registry.create({ id: "plain", ...specOf({ mode: "immediate" }, policy) });
    const gradients = { w: { indices, values: indices.map(() => value) } };
    await request(world.registry, "run", (run) => {
      const staging = run.stage("gradients");
      writeTensors(gradients, staging, "gradients");
      run.contribute(staging, { aggregate: true, dryRun: false, weight, ...old });
      staging.release();
      run.endRound({ reason: "complete", applied: true });
    });
    await request(world.registry, "plain", (run) => step(run, gradients, { aggregate: false, ...old }));
    const all = () =>
      Promise.all(["run", "plain"].map((id) => request(world.registry, id, (run) => stateOf(run))));
    const before = await all();
    assert.deepEqual(before.map(({ iterations }) => iterations), [1, 1]);
    await world.restart();
    assert.deepEqual(await all(), before);
  };
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("reject", "skip"),
      fc.constantFrom(1, 1e-320, 1e20, 1e39, 1e300),
      fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(1, 1e20, -3e38, 3e38),
      law,
    ),
    { numRuns: 25 },
  );
});
