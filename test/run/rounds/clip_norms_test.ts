/** Runs whose bound on the norms of contributions moves. */
import assert from "node:assert/strict";
import type { AggregationSpec, RunSpec } from "../../../src/run/api/run_spec.ts";
import { clipNorms } from "../../../src/families/clip_norms/mod.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { checkpointOf, restore } from "../checkpoint/support/checkpoints.ts";
import {
  codeOfAsync,
  contribute,
  newRegistry,
  open,
  refusalAsync,
  send,
  step,
  variablesOf,
} from "../support/harness.ts";
import { lasting, newWorld, request } from "../support/stored.ts";

const CONFIG = { initial_l2_norm_clip: 1, learning_rate: 0.5, target_unclipped_quantile: 0.5 };
const ADAPTIVE = { class_name: "AdaptiveQuantile", config: CONFIG };

const specOf = (aggregation: AggregationSpec): Omit<RunSpec, "id"> => ({
  optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
  variables: [{ name: "w", shape: [2] }],
  aggregation: { client_clipnorm: ADAPTIVE, ...aggregation },
});

const boundOf = (session: Session) => session.describe().clip_norm as number;

/** The bound after a step, by the formula of the paper in float64. */
const moved = (bound: number, norms: readonly number[]) => {
  const share = norms.filter((norm) => norm <= bound).length / norms.length;
  return bound * Math.exp(-CONFIG.learning_rate * (share - CONFIG.target_unclipped_quantile));
};

const near = (got: number, want: number, what: string) =>
  assert.ok(Math.abs(got / want - 1) < 1e-5, `${what}: ${got}, not ${want}`);

for (
  const aggregation of [
    { mode: "round", quorum: 3 },
    { mode: "buffer", buffer_size: 3 },
    { mode: "round", quorum: 3, payload: "weights", aggregator: "Mean" },
  ] as const
) {
  Deno.test(`in ${JSON.stringify(aggregation)} contributions are clipped by the bound of their step, which then moves`, async () => {
    const session = await open(specOf(aggregation));
    const isWeights = "payload" in aggregation;
    let bound = 1, w = 0;
    for (let n = 0; n < 30; n++) {
      const norms = [0.3, 1, 5].map((norm) => norm * (1 + n % 4));
      // The contributions lie along the first axis; new weights are the variable's value minus the gradient.
      const given = norms.map((norm) => isWeights ? variablesOf(session)["w"]?.[0] as number - norm : norm);
      const answers = given.map((value) => send(session, { w: [value, 0] }));
      assert.ok(answers.at(-1)?.applied);
      const clipped = norms.map((norm) => Math.min(norm, bound)).reduce((sum, norm) => sum + norm);
      w -= isWeights ? clipped / 3 : clipped;
      near(variablesOf(session)["w"]?.[0] as number, w, `w after step ${n}`);
      bound = moved(bound, norms);
      near(boundOf(session), bound, `the bound after step ${n}`);
      bound = boundOf(session);
      w = variablesOf(session)["w"]?.[0] as number;
    }
  });
}

Deno.test("in mode immediate each contribution is a step, and moves the bound", async () => {
  const session = await open(specOf({ mode: "immediate" }));
  const bounds = [10, 10, 0.01].map((norm) => {
    send(session, { w: [norm, 0] });
    return boundOf(session);
  });
  near(bounds[0] as number, Math.exp(0.25), "clipped");
  near(bounds[1] as number, Math.exp(0.5), "clipped again");
  near(bounds[2] as number, Math.exp(0.25), "not clipped");
});

Deno.test("only steps of contributions move the bound: no dry run, no dropped round, no gradient of the caller's own", async () => {
  const session = await open(specOf({ mode: "round", quorum: 2, deadline_seconds: 1, minimum: 2 }));
  const rehearsed = send(session, { w: [9, 0] }, { dryRun: true });
  assert.equal(rehearsed.clip_factor, Math.fround(1 / 9));
  contribute(session, { w: [9, 0] });
  send(session, { w: [9, 0] }, { dryRun: true });
  session.endRound({ reason: "deadline", applied: false });
  step(session, { w: [9, 0] }, { aggregate: false });
  assert.equal(boundOf(session), 1);
  assert.equal(session.iterations, 1);
});

Deno.test("a contribution that is withdrawn counts for nothing", async () => {
  const one = await open(specOf({ mode: "round", quorum: 2, aggregator: "Median" }));
  contribute(one, { w: [9, 0] }, { clientId: "gone" });
  one.withdraw("gone");
  contribute(one, { w: [0.1, 0] });
  send(one, { w: [0.2, 0] });
  near(boundOf(one), moved(1, [0.1, 0.2]), "of two");
});

Deno.test("noise.multiplier is noise of that multiple of the bound that holds for the round", async () => {
  const multiplier = 0.75, seed = 5;
  const moving = await open(specOf({ mode: "round", quorum: 2, noise: { multiplier, seed } }));
  assert.deepEqual(moving.describe().warnings, []);
  for (let n = 0; n < 5; n++) {
    const bound = boundOf(moving);
    const before = variablesOf(moving)["w"];
    // A run at the same iteration, with this bound and the noise that it should have.
    const still = await open({
      ...specOf({
        mode: "round",
        quorum: 2,
        client_clipnorm: bound,
        noise: { stddev: Math.fround(multiplier * bound), seed },
      }),
      variables: [{ name: "w", shape: [2], initial: before }],
    });
    still.setWeights([n]);
    for (const session of [moving, still]) for (const norm of [0.5, 4]) send(session, { w: [norm, 0] });
    assert.deepEqual(variablesOf(still), variablesOf(moving), `step ${n}`);
  }
  const fixed = await open(
    specOf({ mode: "round", quorum: 1, client_clipnorm: 2, noise: { multiplier: 1, seed } }),
  );
  assert.deepEqual(fixed.describe().aggregation.noise, { multiplier: 1, seed });
});

Deno.test("noise that stays while the bound moves gets a warning", async () => {
  const session = await open(specOf({ mode: "round", quorum: 2, noise: { stddev: 1, seed: 1 } }));
  assert.deepEqual(session.describe().warnings, [
    "noise.stddev stays as it is while client_clipnorm moves: noise.multiplier follows it",
  ]);
});

Deno.test("a description makes the same run again, with the bound at its start", async () => {
  const session = await open(specOf({ mode: "round", quorum: 1 }));
  send(session, { w: [9, 0] });
  const { optimizer, aggregation, variables, clip_norm } = session.describe();
  assert.deepEqual(aggregation.client_clipnorm, {
    class_name: "AdaptiveQuantile",
    config: { ...CONFIG, clipped_count_stddev: 0, expected_num_records: null, seed: null },
  });
  assert.notEqual(clip_norm, 1);
  const again = await open({
    optimizer,
    aggregation,
    variables: variables.map(({ name, shape }) => ({ name, shape })),
  });
  assert.deepEqual(again.describe().aggregation, aggregation);
  assert.equal(boundOf(again), 1);
});

Deno.test("every member's bound survives a crash, a snapshot and a checkpoint, and goes on with the same bits", async () => {
  for (const { class_name } of clipNorms.members) {
    await using world = await newWorld();
    const spec: RunSpec = {
      ...specOf({
        mode: "round",
        quorum: 2,
        client_clipnorm: { class_name, config: { clipped_count_stddev: 0.5, seed: 3 } },
        noise: { multiplier: 0.1, seed: 4 },
      }),
      id: "small",
    };
    await world.registry.create(spec);
    const alone = await newRegistry().create(spec);
    const norms = [0.01, 3, 0.2, 0.05, 8, 0.1, 0.3, 0.2];
    const give = async (n: number) => {
      const gradient = { w: [norms[n % norms.length], 0] };
      send(alone, gradient);
      await request(world.registry, "small", (session) => send(session, gradient));
    };
    const same = (id = "small") => {
      const session = world.registry.get(id);
      assert.deepEqual(variablesOf(session), variablesOf(alone));
      assert.equal(boundOf(session), boundOf(alone));
    };
    for (let n = 0; n < 24; n++) {
      await give(n);
      if (n === 6) await world.restart();
      if (n === 11) {
        await world.registry.shutdown();
        await world.restart();
      }
      if (n === 17) {
        const before = lasting(world.registry.get("small"));
        const other = await restore(world.registry, "other", checkpointOf(world.registry.get("small")));
        assert.equal(boundOf(other), before.description.clip_norm);
        same("other");
      }
      same();
    }
    assert.notEqual(boundOf(alone), Math.fround(0.1));
  }
});

Deno.test("a checkpoint with a bound that cannot be is refused; one of a bound that does not move needs none", async () => {
  const registry = newRegistry();
  const checkpoint = checkpointOf(await registry.create(specOf({ mode: "round", quorum: 2 })));
  for (const clip_norm of [0, -1, 1e-40, 1e39, 0.1, "1", null, undefined]) {
    const saved = { ...checkpoint.saved, clip_norm };
    assert.equal(
      await codeOfAsync(() => restore(registry, "other", { ...checkpoint, saved })),
      "invalid_request",
    );
  }
  const fixed = checkpointOf(
    await registry.create(specOf({ mode: "round", quorum: 2, client_clipnorm: 0.1 })),
  );
  assert.ok(!("clip_norm" in fixed.saved), "as earlier versions wrote it");
  assert.equal(boundOf(await restore(registry, "fixed", fixed)), 0.1);
  const { message } = await refusalAsync(() =>
    restore(registry, "wrong", { ...fixed, saved: { ...fixed.saved, clip_norm: 1 } })
  );
  assert.match(message, /clip_norm is 1, must be there if and only if/);
});
