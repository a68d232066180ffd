/** The writer of snapshot files, whose memory may be changed or released once the writer was told. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { readSnapshot, SnapshotDamage } from "../../src/store/snapshot_reader.ts";
import { SnapshotWriter } from "../../src/store/snapshot_writer.ts";
import { Disk, IO_ERROR, NO_SPACE } from "./support/disk.ts";

const PLACE = { folder: "/run", generation: 3 };
const FILE = "/run/snapshot-3.safetensors";

/** Views of `memory`, in pieces of `length` bytes. */
function* views(memory: Uint8Array<ArrayBuffer>, length: number) {
  for (let at = 0; at < memory.length; at += length) yield memory.subarray(at, at + length);
}

const filled = (bytes: number) => Uint8Array.from({ length: bytes }, (_, at) => at * 7);

Deno.test("SnapshotWriter writes the memory as it was before the announced change", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 300_000 }),
      fc.integer({ min: 0, max: 12 }),
      async (length, ticks) => {
        const disk = new Disk(), memory = filled(2_500_000), wanted = memory.slice();
        const writer = new SnapshotWriter(disk, PLACE, views(memory, Math.max(length, 100_000)));
        const finished = writer.finish();
        for (let n = 0; n < ticks; n++) await new Promise((resolve) => setTimeout(resolve, 0));
        writer.finishPieces();
        memory.fill(0);
        const record = await finished;
        const read: Uint8Array[] = [];
        readSnapshot(disk, PLACE.folder, record, (piece) => read.push(piece.slice()));
        assert.deepEqual(Buffer.concat(read), Buffer.from(wanted));
      },
    ),
    { numRuns: 20 },
  );
});

Deno.test("SnapshotWriter.abandon() leaves no file, unless every piece was written", async () => {
  const disk = new Disk(), memory = filled(5_000_000), gone = new Error("It is gone");
  const early = new SnapshotWriter(disk, PLACE, views(memory, 100_000));
  const finished = early.finish();
  early.abandon(gone);
  const written = disk.log.length;
  await assert.rejects(finished, gone);
  assert.ok(disk.log.slice(written).every(({ operation }) => operation !== "write"));
  assert.deepEqual(disk.paths, []);
  const late = new SnapshotWriter(disk, PLACE, views(memory, 100_000));
  late.finishPieces();
  late.abandon(gone);
  const { bytes } = await late.finish();
  assert.equal(bytes, memory.length);
  assert.deepEqual(disk.paths, [FILE]);
});

Deno.test("SnapshotWriter rejects the wait for the file with the error of finishPieces()", async () => {
  for (const fails of ["write", "flush", "rename", "sync"] as const) {
    const disk = new Disk();
    const writer = new SnapshotWriter(disk, PLACE, views(filled(3_000_000), 1 << 20));
    let count = 0;
    disk.fault = (operation) => {
      if (operation === fails && count++ === (fails === "write" ? 1 : 0)) throw new Error(NO_SPACE);
    };
    writer.finishPieces();
    await assert.rejects(writer.finish(), { message: NO_SPACE });
    assert.ok(!disk.paths.some((path) => path.endsWith(".part")), fails);
  }
});

Deno.test("readSnapshot() refuses a file with any one bit flipped, and a missing file", async () => {
  const disk = new Disk();
  const record = await new SnapshotWriter(disk, PLACE, views(filled(2000), 300)).finish();
  const good = disk.bytesOf(FILE);
  const read = () => readSnapshot(disk, PLACE.folder, record, () => {});
  for (let bit = 0; bit < 8 * good.length; bit += 37) {
    const bad = good.slice();
    bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ 1 << (bit & 7);
    disk.put(FILE, bad);
    assert.throws(read, SnapshotDamage);
  }
  disk.put(FILE, good.slice(0, -1));
  assert.throws(read, SnapshotDamage);
  disk.delete(FILE);
  assert.throws(read, SnapshotDamage);
  disk.put(FILE, good);
  read();
  disk.fault = () => {
    throw new Error(IO_ERROR);
  };
  assert.throws(read, SnapshotDamage);
});
