/** More runs than fit into memory: they take turns, and none is another than it was. */
import assert from "node:assert/strict";
import { checkpointOf, restore } from "../checkpoint/support/checkpoints.ts";
import { numbers, step, tensor } from "../support/harness.ts";
import { lasting, newWorld, request, SMALL } from "../support/stored.ts";

const MEBIBYTE = 2 ** 20;

/** A run of `mebibytes` with its slots. */
const large = (id: string, mebibytes: number, durability: "journal" | "snapshot" | "none" = "journal") => ({
  id,
  durability,
  optimizer: { class_name: "SGD", config: { momentum: 0.9 } },
  variables: [{ name: "w", shape: [mebibytes * MEBIBYTE / 8], initial: id.length }],
});

const gradient = (mebibytes: number, seed: number) => ({
  w: tensor([mebibytes * MEBIBYTE / 8], numbers(mebibytes * MEBIBYTE / 8, { seed })),
});

Deno.test("far more runs than fit into memory all answer with their own bits", async () => {
  await using world = await newWorld({ memoryBytesMax: 8 * MEBIBYTE });
  await using twins = await newWorld();
  const ids = Array.from({ length: 8 }, (_, n) => `run-${"x".repeat(n)}`);
  for (const id of ids) {
    for (const { registry } of [world, twins]) await registry.create(large(id, 2));
  }
  for (let round = 0; round < 2; round++) {
    for (const [n, id] of ids.entries()) {
      const gradients = gradient(2, 100 * round + n);
      const steps = [];
      for (const { registry } of [world, twins]) {
        steps.push(await request(registry, id, (session) => step(session, gradients)));
      }
      assert.deepEqual(steps[0], steps[1]);
    }
    assert.ok(world.registry.figures().runsInMemory <= 4);
    assert.ok(world.registry.figures().arenaBytes <= 8 * MEBIBYTE);
  }
  const equals = (id: string) => {
    // Not with deepEqual: millions of numbers.
    const [one, two] = [world, twins].map(({ registry }) => {
      const lease = registry.lease(id);
      const { tensors, release } = registry.get(id).checkpoint();
      release();
      lease.release();
      return tensors;
    });
    return one?.every(({ values }, n) => values.every((value, at) => value === two?.[n]?.values[at]));
  };
  for (const id of ids) assert.ok(equals(id), id);
  assert.equal((await world.registry.list({ limit: 100 })).runs.length, ids.length);
  assert.equal(world.registry.figures().runs, ids.length);
  assert.equal(world.registry.figures().steps, 2 * ids.length);
});

Deno.test("thousands of small runs are evicted out of shared memories, and come back", async () => {
  await using world = await newWorld({ memoryBytesMax: 2 * MEBIBYTE });
  // 64 KiB each.
  const spec = (n: number) => ({
    ...SMALL,
    id: `run-${n}`,
    variables: [{ name: "w", shape: [4096], initial: n }],
  });
  const count = 200;
  for (let n = 0; n < count; n++) await world.registry.create(spec(n));
  assert.ok(world.registry.figures().runsInMemory < 50);
  for (let n = 0; n < count; n += 7) {
    const { values } = await request(
      world.registry,
      `run-${n}`,
      (session) => session.gather("w", [0, 4095], { bytesMax: 100 }),
    );
    assert.deepEqual([...values], [n, n]);
  }
  assert.ok(world.registry.figures().arenaBytes <= 2 * MEBIBYTE);
  await world.restart();
  assert.equal(world.registry.figures().runs, count);
  assert.equal(world.registry.figures().runsInMemory, 0, "a start reads no run");
});

Deno.test("runs that are made at the same time in one growing memory are written as they are", async () => {
  await using world = await newWorld();
  const spec = (n: number) => ({
    id: `run-${n}`,
    optimizer: "Adam",
    variables: [1, 7, 900, 20_000].map((size) => ({ name: `w${size}`, shape: [size], initial: n })),
  });
  const count = 30;
  await Promise.all(Array.from({ length: count }, (_, n) => world.registry.create(spec(n))));
  const before = Array.from({ length: count }, (_, n) => lasting(world.registry.get(`run-${n}`)));
  await world.restart(world.disk.powerCut());
  for (let n = 0; n < count; n++) assert.deepEqual(lasting(world.registry.get(`run-${n}`)), before[n]);
});

Deno.test("a run that takes nearly all memory can be made, stored and read", async () => {
  await using world = await newWorld({ memoryBytesMax: 10 * MEBIBYTE });
  await world.registry.create(large("a", 8));
  await world.restart();
  const { values } = world.registry.get("a").gather("w", [0, MEBIBYTE - 1], { bytesMax: 100 });
  assert.deepEqual([...values], [1, 1]);
});

Deno.test("a run in use is not evicted, nor one with a body on its way in, nor one that is not on disk", async () => {
  await using world = await newWorld({ memoryBytesMax: 12 * MEBIBYTE });
  const { registry } = world;
  for (const id of ["a", "bb", "ccc"]) await registry.create(large(id, 3));
  assert.equal(registry.figures().runsInMemory, 3);
  const sessions = ["a", "bb", "ccc"].map((id) => registry.get(id));
  const lease = registry.lease("a");
  const staging = sessions[1]?.stage("gradients");
  step(sessions[2] as NonNullable<typeof sessions[2]>, { w: gradient(3, 1).w });
  await assert.rejects(registry.create(large("dddd", 4)), { code: "out_of_memory" });
  assert.deepEqual(["a", "bb", "ccc"].map((id) => registry.get(id)), sessions);
  await registry.lease("ccc").durable();
  lease.release();
  staging?.release();
  await registry.create(large("dddd", 4));
  assert.notEqual(registry.get("a"), sessions[0]);
});

Deno.test("sweep() brings a run that nobody uses into a snapshot and then out of memory", async () => {
  for (const durability of ["journal", "snapshot"] as const) {
    await using world = await newWorld();
    await world.registry.create({ ...SMALL, durability });
    await request(world.registry, "small", (session) => step(session, { w: [1, 2, 3] }));
    const before = lasting(world.registry.get("small"));
    await world.registry.sweep({ idleMs: 1000 });
    assert.equal(world.registry.figures().runsInMemory, 1);
    world.now += 999;
    const lease = world.registry.lease("small");
    world.now += 1;
    await world.registry.sweep({ idleMs: 1000 });
    assert.equal(world.registry.figures().runsInMemory, 1, "somebody uses it");
    lease.release();
    world.now += 1000;
    await world.registry.sweep({ idleMs: 1000 });
    assert.equal(world.registry.figures().runsInMemory, 0);
    assert.equal(world.registry.figures().runBytes, 0);
    const session = world.registry.get("small");
    assert.equal(session.describe().snapshot_version, 1);
    assert.deepEqual(lasting(session), before);
  }
});

Deno.test("checkpoints are read from evicted runs and restored over them", async () => {
  await using world = await newWorld();
  const { registry } = world;
  await registry.create(SMALL);
  await request(registry, "small", (session) => step(session, { w: [1, 2, 3] }));
  const wanted = lasting(registry.get("small"));
  await registry.sweep({ idleMs: 0 });
  assert.equal(registry.figures().runsInMemory, 0);
  await restore(registry, "fork", checkpointOf(registry.get("small")));
  await registry.sweep({ idleMs: 0 });
  assert.equal(registry.figures().runsInMemory, 0);
  await restore(registry, "small", checkpointOf(registry.get("fork")));
  for (const id of ["small", "fork"]) {
    const { variables, slots, weights } = lasting(registry.get(id));
    assert.deepEqual({ variables, slots, weights }, {
      variables: wanted.variables,
      slots: wanted.slots,
      weights: wanted.weights,
    });
  }
  // 1 after the step, 2 in the fork, 3 back in its place.
  assert.equal(registry.get("small").version, 3);
});
