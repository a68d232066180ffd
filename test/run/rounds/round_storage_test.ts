/** Rounds across process death, eviction, snapshots and deadlines. */
import assert from "node:assert/strict";
import { releasable } from "../../../src/releasable.ts";
import type { AggregationSpec, RunSpec } from "../../../src/run/api/run_spec.ts";
import type { Schedule } from "../../../src/run/registry/deadlines.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { NO_SPACE } from "../../store/support/disk.ts";
import { codeOf, contribute, step, variablesOf } from "../support/harness.ts";
import { newWorld, request, type World } from "../support/stored.ts";

const spec = (aggregation: AggregationSpec, more: Partial<RunSpec> = {}): RunSpec => ({
  id: "r",
  optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
  variables: [{ name: "w", shape: [2] }],
  aggregation,
  ...more,
});
const w = (session: Session) => variablesOf(session)["w"];
const key = (key: string) => ({ key, hash: key, at: 0 });

async function restarted(world: World): Promise<Session> {
  await world.registry.lease("r").durable();
  await world.restart();
  return world.registry.get("r");
}

Deno.test("a round keeps all its contributions across a restart", async () => {
  for (
    const aggregator of ["Sum", "WeightedMean", { class_name: "NormBoundedMean", config: { norm_bound: 1 } }]
  ) {
    await using world = await newWorld();
    let session = await world.registry.create(spec({ mode: "round", quorum: 3, aggregator }));
    contribute(session, { w: [1, 2] }, { clientId: "a", weight: 2, key: key("a") });
    const second = contribute(session, { w: [3, 5] }, { clientId: "b", weight: 3 });
    const twin = session;
    session = await restarted(world);
    assert.deepEqual(session.round(), twin.round());
    assert.deepEqual(session.replies.find({ key: "a", hash: "a" })?.applied, false);
    assert.equal(
      codeOf(() => contribute(session, { w: [9, 9] }, { clientId: "b" })),
      "contribution_repeated",
    );
    const last = (each: Session) => step(each, { w: [7, 11] }, { clientId: "c", key: key("c") });
    assert.deepEqual(last(session), last(twin));
    assert.deepEqual(w(session), w(twin));
    assert.equal(second.missing, 1);
    session = await restarted(world);
    assert.deepEqual(w(session), w(twin));
    assert.equal(session.round().round, 1);
    assert.equal(
      session.replies.find({ key: "c", hash: "c" })?.applied,
      true,
      "who completes a round gets the step",
    );
    assert.equal(session.version, twin.version);
    assert.equal(session.events.last, twin.events.last);
    assert.deepEqual(
      session.events.since(`${session.sequence - 2}.1`),
      twin.events.since(`${session.sequence - 2}.1`),
    );
  }
});

Deno.test("a withdrawn contribution leaves no trace in a sum, also across a restart", async () => {
  await using world = await newWorld();
  let session = await world.registry.create(spec({ mode: "round", quorum: 4 }));
  contribute(session, { w: [0.1, 1e8] }, { clientId: "a" });
  contribute(session, { w: [0.7, -1] }, { clientId: "b" });
  session.withdraw("a");
  assert.deepEqual(session.round().contributions.map(({ client_id }) => client_id), ["b"]);
  assert.equal(codeOf(() => session.withdraw("a")), "unknown_contribution");
  session = await restarted(world);
  contribute(session, { w: [0.2, 3] }, { clientId: "c" });
  contribute(session, { w: [5, 5] }, { clientId: "x" });
  session.withdraw("x");
  session = await restarted(world);
  contribute(session, { w: [0, 0] }, { clientId: "d" });
  step(session, { w: [0.3, 4] }, { clientId: "a" });
  const f = Math.fround;
  assert.deepEqual(w(session), [f(-f(f(f(0.7) + f(0.2)) + f(0.3))), -6]);
});

Deno.test("without a journal only a sum of one can be withdrawn", async () => {
  await using world = await newWorld();
  const session = await world.registry.create(spec({ mode: "round", quorum: 3 }, { durability: "none" }));
  contribute(session, { w: [1, 1] }, { clientId: "a" });
  session.withdraw("a");
  contribute(session, { w: [1, 1] }, { clientId: "a" });
  contribute(session, { w: [1, 1] }, { clientId: "b" });
  assert.equal(codeOf(() => session.withdraw("a")), "not_withdrawable");
  step(session, { w: [1, 1] });
  assert.deepEqual(w(session), [-3, -3]);
});

/** A schedule whose time the test sets. */
function manual(now: () => number) {
  let alarms: { at: number; call: () => void }[] = [];
  const schedule: Schedule = (delayMs, call) => {
    const alarm = { at: now() + delayMs, call };
    alarms.push(alarm);
    return releasable(() => void (alarms = alarms.filter((each) => each !== alarm)));
  };
  const ring = () => {
    const due = alarms.filter(({ at }) => at <= now());
    alarms = alarms.filter((each) => !due.includes(each));
    for (const { call } of due) call();
  };
  return { schedule, ring, count: () => alarms.length };
}

Deno.test("at its deadline a round closes if it has enough contributions, otherwise it is dropped", async () => {
  let now = 0;
  const { schedule, ring, count } = manual(() => now);
  await using world = await newWorld({ schedule, now: () => new Date(now) });
  const aggregation = {
    mode: "round",
    quorum: 3,
    minimum: 2,
    deadline_seconds: 10,
    aggregator: "Mean",
  } as const;
  let session = await world.registry.create(spec(aggregation));
  assert.equal(count(), 0, "an empty round has no deadline");
  now = 5000;
  const first = contribute(session, { w: [1, 1] }, { clientId: "a" });
  assert.equal(first.deadline, "1970-01-01T00:00:15.000Z");
  now = 14_999;
  ring();
  assert.equal(session.round().accepted, 1);
  now = 15_000;
  ring();
  assert.deepEqual([session.round().round, session.round().accepted, session.iterations], [1, 0, 0]);
  assert.equal(session.outcome(0)?.kind, "dropped");
  assert.equal(count(), 0);
  contribute(session, { w: [2, 2] }, { clientId: "a" });
  now = 16_000;
  contribute(session, { w: [4, 4] }, { clientId: "b" });
  session = await restarted(world);
  now = 25_000;
  ring();
  assert.deepEqual([session.round().round, session.iterations], [2, 1]);
  assert.deepEqual(w(session), [-3, -3]);
  assert.equal(session.outcome(1)?.kind, "applied");
  session = await restarted(world);
  assert.deepEqual([session.round().round, session.iterations, session.outcome(0)?.kind], [2, 1, "dropped"]);
});

Deno.test("a round whose deadline passed while the service was down ends at once", async () => {
  let now = 0;
  const { schedule } = manual(() => now);
  await using world = await newWorld({ schedule, now: () => new Date(now) });
  const session = await world.registry.create(
    spec({ mode: "round", quorum: 3, minimum: 1, deadline_seconds: 10 }),
  );
  contribute(session, { w: [1, 1] });
  await world.registry.lease("r").durable();
  now = 60_000;
  await world.restart();
  assert.deepEqual(w(world.registry.get("r")), [-1, -1]);
});

Deno.test("a snapshot waits for the end of the round, and has the state of that moment", async () => {
  await using world = await newWorld({ journalBytesMax: 1 });
  let session = await world.registry.create(spec({ mode: "round", quorum: 2 }));
  contribute(session, { w: [1, 1] }, { clientId: "a" });
  await world.registry.sweep({ idleMs: 1e9 });
  assert.equal(session.describe().snapshot_version, 0);
  step(session, { w: [1, 1] }, { clientId: "b" });
  // The snapshot's copy was made in the step's turn, so this contribution is in the next journal.
  contribute(session, { w: [5, 5] }, { clientId: "a" });
  while (session.describe().snapshot_version === 0) await new Promise((resolve) => setTimeout(resolve));
  assert.equal(session.describe().snapshot_version, 1);
  session = await restarted(world);
  assert.deepEqual(session.round().contributions.map(({ client_id }) => client_id), ["a"]);
  step(session, { w: [1, 1] }, { clientId: "b" });
  assert.deepEqual(w(session), [-8, -8]);
});

Deno.test("an evicted run comes back with its open round", async () => {
  await using world = await newWorld();
  const { registry } = world;
  await registry.create(spec({ mode: "round", quorum: 2 }));
  await request(registry, "r", (session) => contribute(session, { w: [1, 1] }, { clientId: "a" }));
  await registry.sweep({ idleMs: 0 });
  assert.equal(registry.figures().runsInMemory, 0);
  step(registry.get("r"), { w: [1, 1] }, { clientId: "b" });
  assert.deepEqual(w(registry.get("r")), [-2, -2]);
});

Deno.test("a run without a journal is not evicted while its round has contributions", async () => {
  await using world = await newWorld();
  const { registry } = world;
  const session = await registry.create(spec({ mode: "round", quorum: 2 }, { durability: "snapshot" }));
  contribute(session, { w: [1, 1] }, { clientId: "a" });
  await registry.sweep({ idleMs: 0 });
  assert.equal(registry.figures().runsInMemory, 1);
  step(session, { w: [1, 1] }, { clientId: "b" });
  await registry.sweep({ idleMs: 0 });
  assert.equal(registry.figures().runsInMemory, 0);
  assert.deepEqual(w(registry.get("r")), [-2, -2]);
});

Deno.test("a complete round that a full disk keeps from closing closes later, once", async () => {
  let now = 0;
  const { schedule, ring } = manual(() => now);
  await using world = await newWorld({ schedule, now: () => new Date(now) });
  let session = await world.registry.create(spec({ mode: "round", quorum: 2 }));
  contribute(session, { w: [1, 1] }, { clientId: "a" });
  await world.registry.lease("r").durable();
  // There is room for the contribution but not for the record of the close.
  let writes = 0;
  world.disk.fault = (operation) => {
    if (operation === "write" && ++writes > 1) {
      throw new Error(NO_SPACE);
    }
  };
  const second = contribute(session, { w: [1, 1] }, { clientId: "b", key: key("b") });
  assert.deepEqual([second.accepted, second.missing], [true, 0]);
  assert.deepEqual(w(session), [0, 0]);
  world.disk.fault = () => {};
  now = 1000;
  ring();
  assert.deepEqual(w(session), [-2, -2]);
  session = await restarted(world);
  assert.deepEqual(w(session), [-2, -2]);
  assert.equal(session.round().round, 1);
});
