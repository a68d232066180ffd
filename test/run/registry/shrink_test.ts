/** What a burst of bodies took comes back, whatever the run's durability. */
import assert from "node:assert/strict";
import { newRegistry, slotsOf, step, variablesOf } from "../support/harness.ts";

const MIB = 2 ** 20;
const SPEC = {
  id: "burst",
  optimizer: "Adam",
  durability: "none" as const,
  variables: [{ name: "w", shape: [MIB / 2], initial: 0.5 }, { name: "v", shape: [3], initial: 1 }],
};

async function afterBurst() {
  let now = 0;
  const registry = newRegistry({ memoryBytesMax: 64 * MIB, now: () => new Date(now) });
  const session = await registry.create(SPEC);
  step(session, { v: [1, 2, 3] });
  const stagings = Array.from({ length: 20 }, () => session.stage("gradients"));
  for (const staging of stagings) staging.allocate(2 * MIB);
  for (const staging of stagings) staging.release();
  return { registry, session, later: (ms: number) => now += ms };
}

Deno.test("a run that received a burst gives the memory back when another run needs it", async () => {
  const { registry, session } = await afterBurst();
  const [before, slots] = [variablesOf(session), slotsOf(session)];
  const weights = session.weights();
  await registry.create({ optimizer: "SGD", variables: [{ name: "w", shape: [10 * MIB] }] });
  assert.deepEqual(variablesOf(session), before);
  assert.deepEqual(slotsOf(session), slots);
  assert.deepEqual(session.weights(), weights);
});

Deno.test("a run that received a burst gives the memory back when it is idle, and steps as if nothing was", async () => {
  const { registry, session, later } = await afterBurst();
  const still = await afterBurst();
  const taken = registry.figures().arenaBytes;
  later(10_000);
  await registry.sweep({ idleMs: 5000 });
  assert(registry.figures().arenaBytes < taken - 30 * MIB, `${registry.figures().arenaBytes} of ${taken}`);
  for (const each of [session, still.session]) step(each, { w: { indices: [5], values: [1] }, v: [1, 1, 1] });
  assert.deepEqual(variablesOf(session), variablesOf(still.session));
  assert.deepEqual(session.weights(), still.session.weights());
});

Deno.test("a run is not moved while a body is being received", async () => {
  const { registry, session, later } = await afterBurst();
  using staging = session.stage("gradients");
  staging.allocate(64);
  const taken = registry.figures().arenaBytes;
  later(10_000);
  await registry.sweep({ idleMs: 5000 });
  assert.equal(registry.figures().arenaBytes, taken);
});
