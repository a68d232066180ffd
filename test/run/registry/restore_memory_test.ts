/** A checkpoint that comes in for a large run: the old one makes room for it, and is there again if it is not needed. */
import assert from "node:assert/strict";
import type { Restoration } from "../../../src/run/api/checkpoints.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { codeOf, step } from "../support/harness.ts";
import { newWorld, refused, request, type World } from "../support/stored.ts";

const MEBIBYTE = 2 ** 20;
const COUNT = 2 * MEBIBYTE;
/** 8 MiB. */
const LARGE = {
  id: "large",
  optimizer: "SGD",
  variables: [{ name: "w", shape: [COUNT], initial: 1 }],
} as const;
/** Not enough for two of them. */
const MEMORY = 14 * MEBIBYTE;

const change = (world: World, key: string) =>
  request(
    world.registry,
    "large",
    (session) => step(session, { w: { indices: [3], values: [1] } }, { key: { key, hash: "h", at: 0 } }),
  );

/** The run's first numbers, without a copy of it. */
function firstOf({ registry }: World): number[] {
  const [w] = registry.get("large").liveCheckpoint().tensors;
  return [...(w?.view().subarray(0, 5) ?? [])];
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

/** Begins a checkpoint of twos, and gives what pours the rest of it. */
function begin(restoration: Restoration, metadata: ReadonlyMap<string, string>): () => void {
  const sink = restoration.begin(metadata).dense("variables/w", { dtype: "F32", shape: [COUNT] });
  const piece = new Uint8Array(new Float32Array(MEBIBYTE / 4).fill(2).buffer);
  sink.write(piece);
  return () => {
    for (let n = 1; n < 8; n++) sink.write(piece);
    sink.close();
  };
}

Deno.test("restore() of a run of which there is memory for one takes its place, and keeps what it was answered", async () => {
  await withRun(async (world, metadata) => {
    const { registry } = world;
    const restoration = registry.restore("large");
    assert.equal(restoration.current()?.version, 1);
    const pour = begin(restoration, metadata);
    assert.equal(registry.figures().runsInMemory, 0, "the old one has made room");
    pour();
    assert.equal(restoration.current()?.version, 1);
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

Deno.test("restore() that is given up, or refused, leaves a run that has made room as it was", async () => {
  for (const how of ["cut off", "incomplete", "on a full disk"]) {
    await withRun(async (world, metadata) => {
      const { registry } = world;
      const before = firstOf(world);
      const restoration = registry.restore("large");
      restoration.current();
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

/** A checkpoint that has come in whole while the old run had to leave memory, in which there is room again. */
async function pushedOut(world: World, metadata: ReadonlyMap<string, string>): Promise<Restoration> {
  const { registry } = world;
  await registry.create({ ...LARGE, id: "other" });
  const lease = registry.lease("other");
  const restoration = registry.restore("large");
  restoration.current();
  begin(restoration, metadata)();
  assert.equal(registry.figures().runsInMemory, 1);
  lease.release();
  await registry.delete("other");
  return restoration;
}

/** Enough for two, not for three. */
const ROOMY = 22 * MEBIBYTE;

Deno.test("restore() knows of changes that were made while its run had left memory", async () => {
  await withRun(async (world, metadata) => {
    const restoration = await pushedOut(world, metadata);
    for (const key of ["b", "c"]) await change(world, key);
    assert.equal(restoration.current()?.version, 3);
    const { session } = await restoration.commit();
    restoration.release();
    assert.equal(session.version, 4);
    for (const key of ["a", "b", "c"]) assert.ok(session.replies.find({ key, hash: "h" }), key);
  }, ROOMY);
});

Deno.test("a run that is read again while its successor is written can be read, and not changed", async () => {
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

Deno.test("a run that is not in memory is not deleted while its successor is written", async () => {
  await withRun(async (world, metadata) => {
    const restoration = await pushedOut(world, metadata);
    const first = restoration.commit();
    await refused(world.registry.delete("large"), "busy");
    await first;
    restoration.release();
    await world.registry.delete("large");
  }, ROOMY);
});
