/** A checkpoint for a large run: the old run leaves memory for it, and is still there if the upload fails. */
import assert from "node:assert/strict";
import type { Restoration } from "../../../src/run/api/checkpoints.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { codeOf, step } from "../support/harness.ts";
import { newWorld, refused, request, type World } from "../support/stored.ts";
import { atOnce } from "../../../src/slices.ts";

const MEBIBYTE = 2 ** 20;
const COUNT = 2 * MEBIBYTE;
/** 8 MiB. */
const LARGE = {
  id: "large",
  optimizer: "SGD",
  variables: [{ name: "w", shape: [COUNT], initial: 1 }],
} as const;
/** Memory for one of them, but not for two. */
const MEMORY = 14 * MEBIBYTE;

const change = (world: World, key: string) =>
  request(
    world.registry,
    "large",
    (session) => step(session, { w: { indices: [3], values: [1] } }, { key: { key, hash: "h", at: 0 } }),
  );

/** The run's first numbers, read without a copy. */
function firstOf({ registry }: World): number[] {
  const { state } = registry.get("large").liveCheckpoint();
  return [...state.values(state.variable("w")).subarray(0, 5)];
}

async function withRun(
  act: (world: World, metadata: ReadonlyMap<string, string>) => Promise<void>,
  memoryBytesMax = MEMORY,
): Promise<void> {
  await using world = await newWorld({ memoryBytesMax });
  await world.registry.create(LARGE);
  const { metadata } = world.registry.get("large").liveCheckpoint();
  await change(world, "a");
  const lease = world.registry.lease("large");
  await act(world, new Map(Object.entries(metadata)));
  lease.release();
}

/** Begins a checkpoint of twos, and returns a function that sends the rest. */
function begin(restoration: Restoration, metadata: ReadonlyMap<string, string>): () => void {
  const sink = atOnce(restoration.begin(metadata)).dense("variables/w", { dtype: "F32", shape: [COUNT] });
  const piece = new Uint8Array(new Float32Array(MEBIBYTE / 4).fill(2).buffer);
  sink.write(piece);
  return () => {
    for (let n = 1; n < 8; n++) sink.write(piece);
    sink.close();
  };
}

Deno.test("restore() works with memory for only one of the two runs, and keeps the answers to keyed requests", async () => {
  await withRun(async (world, metadata) => {
    const { registry } = world;
    const restoration = registry.restore("large");
    assert.equal((await restoration.current())?.version, 1);
    const pour = begin(restoration, metadata);
    assert.equal(registry.figures().runsInMemory, 0, "the old one has made room");
    pour();
    assert.equal((await restoration.current())?.version, 1);
    assert.equal(registry.figures().runsInMemory, 0, "and nobody has to read it for its version");
    const { session, created } = await restoration.commit();
    restoration.release();
    assert.deepEqual([created, session.version, session.iterations], [false, 2, 0]);
    assert.deepEqual(firstOf(world), [2, 2, 2, 2, 2]);
    assert.ok(session.replies.find({ key: "a", hash: "h" }));
    assert.ok(registry.figures().arenaBytes <= MEMORY);
    assert.equal(new Set(world.disk.paths.map((path) => path.split("/")[2])).size, 1);
    await world.restart();
    assert.deepEqual(firstOf(world), [2, 2, 2, 2, 2]);
  });
});

Deno.test("restore() that is abandoned or refused does not change a run that had to leave memory", async () => {
  for (const how of ["cut off", "incomplete", "on a full disk"]) {
    await withRun(async (world, metadata) => {
      const { registry } = world;
      const before = firstOf(world);
      const restoration = registry.restore("large");
      await restoration.current();
      const pour = begin(restoration, metadata);
      assert.equal(registry.figures().runsInMemory, 0);
      if (how === "on a full disk") {
        pour();
        world.disk.fault = (operation) => {
          if (operation === "create") throw new Error("No space left on device (os error 28)");
        };
        await refused(restoration.commit(), "storage_full");
        world.disk.fault = () => {};
      }
      restoration.release();
      assert.deepEqual(firstOf(world), before, how);
      await change(world, "b");
      assert.equal(registry.get("large").version, 2);
      await world.restart();
      assert.equal(world.registry.get("large").version, 2);
    });
  }
});

/** A completely received checkpoint, for which the old run had to leave memory. Now there is room again. */
async function pushedOut(world: World, metadata: ReadonlyMap<string, string>): Promise<Restoration> {
  const { registry } = world;
  await registry.create({ ...LARGE, id: "other" });
  const lease = registry.lease("other");
  const restoration = registry.restore("large");
  await restoration.current();
  begin(restoration, metadata)();
  assert.equal(registry.figures().runsInMemory, 1);
  lease.release();
  await registry.delete("other");
  return restoration;
}

/** Memory for two of them, but not for three. */
const ROOMY = 22 * MEBIBYTE;

Deno.test("restore() that is released before its beginning ends leaves nothing in memory", async () => {
  await withRun(async (world, metadata) => {
    const { registry } = world;
    // More often than there is memory for.
    for (let n = 0; n < 5; n++) {
      const restoration = registry.restore("large");
      await restoration.current();
      const beginning = restoration.begin(metadata);
      restoration.release();
      assert.throws(() => atOnce(beginning), /released while it began/);
      assert.equal(registry.figures().runsInMemory, 1);
    }
    assert.deepEqual(firstOf(world).slice(0, 2), [1, 1]);
  }, ROOMY);
});

Deno.test("restore() sees changes of a run that had left memory during the upload", async () => {
  await withRun(async (world, metadata) => {
    const restoration = await pushedOut(world, metadata);
    for (const key of ["b", "c"]) await change(world, key);
    assert.equal((await restoration.current())?.version, 3);
    const { session } = await restoration.commit();
    restoration.release();
    assert.equal(session.version, 4);
    for (const key of ["a", "b", "c"]) assert.ok(session.replies.find({ key, hash: "h" }), key);
  }, ROOMY);
});

Deno.test("a run that is read again while its successor is written can be read but not changed", async () => {
  for (const fails of [false, true]) {
    await withRun(async (world, metadata) => {
      const { registry } = world;
      const restoration = await pushedOut(world, metadata);
      let old: Session | undefined, code: string | undefined;
      world.disk.fault = (operation, path) => {
        if (operation !== "write" || !path.endsWith(".part")) return;
        old ??= registry.get("large");
        code ??= codeOf(() => old?.patchOptimizer({ learning_rate: 0.5 }));
        if (fails) throw new Error("Input/output error (os error 5)");
      };
      const commit = restoration.commit();
      if (fails) await refused(commit, "storage_failed");
      else await commit;
      world.disk.fault = () => {};
      restoration.release();
      assert.equal(code, "busy");
      registry.get("large").patchOptimizer({ learning_rate: 0.25 });
      assert.equal(registry.get("large").version, fails ? 2 : 3);
      assert.equal(registry.get("large") === old, fails);
    }, ROOMY);
  }
});

Deno.test("a run that is not in memory cannot be deleted while its successor is written", async () => {
  await withRun(async (world, metadata) => {
    const restoration = await pushedOut(world, metadata);
    const first = restoration.commit();
    await refused(world.registry.delete("large"), "busy");
    await first;
    restoration.release();
    await world.registry.delete("large");
  }, ROOMY);
});
