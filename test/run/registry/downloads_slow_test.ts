/** Checkpoints sent from the disk: they have the bytes of a copy, whatever happens meanwhile. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Checkpoint, CheckpointFile } from "../../../src/run/api/checkpoints.ts";
import { copiedFile } from "../../../src/run/checkpoint/checkpoint_file.ts";
import type { BackgroundFailure } from "../../../src/run/registry/evictor.ts";
import type { Registry, RegistryOptions } from "../../../src/run/registry/registry.ts";
import { SnapshotDamage } from "../../../src/store/snapshot_reader.ts";
import { NO_SPACE } from "../../store/support/disk.ts";
import { step } from "../support/harness.ts";
import { GRADIENT, newWorld, request, SMALL, type World } from "../support/stored.ts";

/** A run of 9 MiB: it is not copied. */
const COUNT = 9 * 2 ** 20 / 4;
const LARGE = {
  ...SMALL,
  id: "large",
  optimizer: "SGD",
  variables: [{ name: "w", shape: [COUNT] }],
} as const;

/** A step with a key. Its answer is in snapshots but not in checkpoints. */
const change = (registry: Registry, id: string, key: string) =>
  request(registry, id, (session) => {
    const gradients = id === "large" ? { w: { indices: [key.length], values: [1] } } : GRADIENT;
    return step(session, gradients, { key: { key, hash: "h", at: 0 } });
  });

async function bytesOf({ file }: Pick<Checkpoint, "file">): Promise<Buffer> {
  assert.ok(file);
  const bytes = Buffer.from(await new Response(file.body).arrayBuffer());
  assert.equal(bytes.length, file.byteLength);
  return bytes;
}

/** The bytes of a copy of the run's present state. */
const copyOf = async (registry: Registry, id: string) =>
  await bytesOf({ file: await copiedFile(registry.get(id)) });

async function newWorldOf(
  spec: typeof SMALL,
  options: Partial<RegistryOptions> = {},
): Promise<{ world: World; failures: BackgroundFailure[] }> {
  const failures: BackgroundFailure[] = [];
  const world = await newWorld({ ...options, onFailure: (failure) => failures.push(failure) });
  await world.registry.create(spec);
  await change(world.registry, spec.id as string, "a");
  return { world, failures };
}

const snapshotsOf = (world: World) => world.disk.paths.filter((path) => path.endsWith(".safetensors"));
const written = (world: World) =>
  world.disk.log.filter(({ operation, path }) => operation === "rename" && path.includes("snapshot")).length;

Deno.test("checkpoint() sends a run that is on disk from there, and does not open it", async () => {
  for (const spec of [SMALL, LARGE]) {
    const id = spec.id as string;
    const { world } = await newWorldOf(spec);
    await using _ = world;
    const wanted = await copyOf(world.registry, id);
    await world.registry.shutdown();
    await world.restart();
    const { version, file } = await world.registry.checkpoint(id);
    assert.equal(version, 1);
    assert.ok(await bytesOf({ file }).then((bytes) => bytes.equals(wanted)), id);
    const known = await world.registry.checkpoint(id, (version) => version === 1);
    assert.deepEqual(known, { version: 1, file: undefined });
    assert.equal(world.registry.figures().runsInMemory, 0);
    assert.equal(world.disk.openReaders, 0);
  }
});

Deno.test("checkpoint() opens a run whose journal has changes since its snapshot", async () => {
  const { world } = await newWorldOf(SMALL);
  await using _ = world;
  const wanted = await copyOf(world.registry, "small");
  await world.restart();
  const { version, file } = await world.registry.checkpoint("small");
  assert.equal(version, 1);
  assert.ok((await bytesOf({ file })).equals(wanted));
  assert.equal(world.registry.figures().runsInMemory, 1);
});

Deno.test("checkpoint() of a large run in memory is a snapshot, not a copy, for all readers", async () => {
  const { world } = await newWorldOf(LARGE, { memoryBytesMax: 11 * 2 ** 20 });
  await using _ = world;
  const { registry } = world;
  const twin = await newWorldOf(LARGE);
  await using __ = twin.world;
  const wanted = await copyOf(twin.world.registry, "large");
  const known = await registry.checkpoint("large", (version) => version === 1);
  assert.deepEqual(known, { version: 1, file: undefined });
  const before = written(world);
  const files = await Promise.all(["b", "c", "d"].map(async () => await registry.checkpoint("large")));
  files.push(await registry.checkpoint("large"));
  assert.equal(written(world) - before, 1, "one snapshot for four");
  assert.equal(registry.figures().publishedBytes, 0);
  for (const file of files) assert.ok((await bytesOf(file)).equals(wanted));
  assert.equal(world.disk.openReaders, 0);
});

Deno.test("checkpoint() has every change that was acknowledged before the request", async () => {
  const { world } = await newWorldOf(LARGE);
  await using _ = world;
  const { registry } = world;
  const asked: Promise<void>[] = [];
  for (let n = 2; n < 8; n++) {
    await change(registry, "large", "x".repeat(n));
    asked.push(
      registry.checkpoint("large").then(({ version, file }) => {
        file?.release();
        assert.ok(version >= n, `${version}, ${n}`);
      }),
    );
  }
  await Promise.all(asked);
  assert.equal(world.disk.openReaders, 0);
});

Deno.test("a download is not affected when the run changes and its file is removed", async () => {
  const { world } = await newWorldOf(LARGE, { journalBytesMax: 0 });
  await using _ = world;
  const { registry } = world;
  const wanted = await copyOf(registry, "large");
  const { file } = await registry.checkpoint("large");
  const sent = snapshotsOf(world).at(-1) as string;
  for (const key of ["bb", "ccc", "dddd"]) {
    await change(registry, "large", key);
    await registry.sweep({ idleMs: 1e9 });
  }
  assert.ok(!snapshotsOf(world).includes(sent));
  await registry.delete("large");
  assert.ok((await bytesOf({ file })).equals(wanted));
});

Deno.test("a download that is not read to its end is closed", async () => {
  const { world } = await newWorldOf(LARGE);
  await using _ = world;
  const { file } = await world.registry.checkpoint("large");
  const reader = (file as CheckpointFile & { body: ReadableStream }).body.getReader();
  await reader.read();
  assert.equal(world.disk.openReaders, 1);
  await reader.cancel();
  const other = await world.registry.checkpoint("large");
  other.file?.release();
  assert.equal(world.disk.openReaders, 0);
});

Deno.test("checkpoint() is a copy if the disk takes no snapshot, or if there is none", async () => {
  const { world, failures } = await newWorldOf(LARGE);
  await using _ = world;
  const wanted = await copyOf(world.registry, "large");
  world.disk.fault = (operation) => {
    if (operation === "create") throw new Error(NO_SPACE);
  };
  assert.ok((await bytesOf(await world.registry.checkpoint("large"))).equals(wanted));
  assert.equal(failures.length, 1);
  world.disk.fault = () => {};
  await world.registry.create({ ...LARGE, id: "none", durability: "none" });
  const copy = await bytesOf(await world.registry.checkpoint("none"));
  assert.ok(copy.equals(await copyOf(world.registry, "none")));
  assert.equal(world.registry.figures().publishedBytes, 0);
});

Deno.test("checkpoint() never sends a damaged file to its end, and uses another source the next time", async () => {
  for (const isOpen of [true, false]) {
    // Damage in the length, at the header's beginning and within it, in the tensors, one byte less, and no file.
    for (const place of [1, 8, 60, 100_000, -1, "short", "gone"] as const) {
      const { world, failures } = await newWorldOf(LARGE);
      await using _ = world;
      const wanted = await copyOf(world.registry, "large");
      (await world.registry.checkpoint("large")).file?.release();
      const path = snapshotsOf(world).at(-1) as string;
      if (!isOpen) await world.registry.shutdown();
      const good = world.disk.bytesOf(path), bad = good.slice(0, place === "short" ? -1 : good.length);
      if (typeof place === "number") bad[place < 0 ? bad.length - 1 : place] = 0x7a;
      if (place === "gone") world.disk.delete(path);
      else world.disk.put(path, bad);
      const what = `${isOpen ? "open" : "on disk"}, ${place}`;
      // Damage at the beginning, or a wrong length, is found before the first byte is sent.
      if (place === 60 || place === 100_000 || place === -1) {
        await assert.rejects(world.registry.checkpoint("large").then(bytesOf), SnapshotDamage, what);
      }
      assert.ok((await bytesOf(await world.registry.checkpoint("large"))).equals(wanted), what);
      assert.equal(failures.filter(({ error }) => error instanceof SnapshotDamage).length, 1, what);
      assert.equal(world.disk.openReaders, 0, what);
      await world.restart();
      assert.ok((await copyOf(world.registry, "large")).equals(wanted), what);
    }
  }
});
