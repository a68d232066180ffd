/**
 * Journals byte by byte: complete records are read back, an incomplete last record is cut off, any other damage is
 * refused. Damage is tried at every byte, not at chosen ones.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { JournalWriter } from "../../src/store/journal_writer.ts";
import { JournalDamage, readJournal } from "../../src/store/journal_reader.ts";
import { Disk, IO_ERROR, NO_SPACE } from "./support/disk.ts";

const PATH = "/run/journal-3.log";
/** Bytes of a file's header. */
const HEADER = 20;

interface Written {
  readonly kind: number;
  readonly pieces: readonly Uint8Array<ArrayBuffer>[];
}

const joined = ({ pieces }: Written) => new Uint8Array(Buffer.concat(pieces));

/** A journal of these records from sequence 7 on, and where each of them ends. */
function write(disk: Disk, records: readonly Written[], { sequence = 7 } = {}) {
  const writer = JournalWriter.begin(disk.create(PATH), { generation: 3, sequence });
  const ends = records.map(({ kind, pieces }) => {
    writer.append(kind, pieces);
    return writer.bytes;
  });
  return { writer, ends };
}

/** A record with its payload, read in pieces of an odd length. */
interface Found {
  readonly kind: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

function read(disk: Disk, options: { bytesMax?: number } = {}) {
  const records: Found[] = [];
  const content = readJournal(disk, PATH, ({ kind, sequence, payload: { bytes, next } }) => {
    const payload = new Uint8Array(bytes);
    for (let at = 0, count = 3; at < bytes; count = 100_001) {
      const piece = next(count);
      assert.ok(piece.length === Math.min(count, bytes - at));
      payload.set(piece, at);
      at += piece.length;
    }
    assert.equal(next(1).length, 0);
    records.push({ kind, sequence, payload });
  }, options);
  return { ...content, records };
}

/** Asserts that exactly the first `count` records are read, complete. */
function assertFirst(records: readonly Found[], written: readonly Written[], count: number): void {
  assert.equal(records.length, count);
  records.forEach(({ kind, sequence, payload }, index) => {
    const wanted = written[index] as Written;
    assert.deepEqual([kind, sequence], [wanted.kind, 7 + index]);
    assert.ok(
      joined(wanted).every((byte, at) => byte === payload[at]) && payload.length === joined(wanted).length,
    );
  });
}

const bytes = (...values: number[]) => Uint8Array.from(values);

/** Some of them end in zeros, which look like blocks that were never written. */
const SMALL: readonly Written[] = [
  { kind: 1, pieces: [bytes(1, 2, 3), bytes(), bytes(4)] },
  { kind: 2, pieces: [new Uint8Array(40)] },
  { kind: 4, pieces: [] },
  { kind: 1, pieces: [bytes(255, 128), new Uint8Array(30)] },
];

const written: fc.Arbitrary<Written> = fc.record({
  kind: fc.nat({ max: 2 ** 32 - 1 }),
  pieces: fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      // Around the length up to which pieces are copied together.
      fc.integer({ min: 65_530, max: 65_545 }).map((length) => new Uint8Array(length).fill(length)),
    ).map((piece) => Uint8Array.from(piece)),
    { maxLength: 6 },
  ),
});

Deno.test("readJournal() gives what JournalWriter wrote, for pieces of any length", () => {
  fc.assert(
    fc.property(fc.array(written, { maxLength: 8 }), (records) => {
      const disk = new Disk();
      const { writer } = write(disk, records);
      const found = read(disk);
      assertFirst(found.records, records, records.length);
      assert.deepEqual([found.generation, found.bytes, found.torn], [3, writer.bytes, false]);
      assert.equal(writer.sequence, 7 + records.length);
    }),
    { numRuns: 60 },
  );
});

Deno.test("readJournal() reads long records in pieces, and gives no byte of a record with a wrong bit", () => {
  const MEBIBYTE = 2 ** 20;
  // Around the length up to which a record is read in one piece.
  for (const length of [MEBIBYTE - 5, MEBIBYTE - 4, MEBIBYTE - 3, 3 * MEBIBYTE + 11]) {
    const long = { kind: 1, pieces: [new Uint8Array(length).map((_, at) => at * 31)] };
    const disk = new Disk();
    const { ends } = write(disk, [long, ...SMALL, long]);
    assertFirst(read(disk).records, [long, ...SMALL, long], 6);
    // A reader that skips records misses none.
    const sequences: number[] = [];
    readJournal(disk, PATH, ({ sequence, payload }) => {
      sequences.push(sequence);
      if (sequence % 2 === 0) payload.next(1);
    });
    assert.deepEqual(sequences, [7, 8, 9, 10, 11, 12]);
    for (const at of [HEADER + 32, (ends[0] ?? 0) - 5]) {
      const bad = disk.copy();
      const changed = disk.bytesOf(PATH).slice();
      changed[at] = (changed[at] ?? 0) ^ 4;
      bad.put(PATH, changed);
      let count = 0;
      assert.throws(() => readJournal(bad, PATH, () => count += 1), JournalDamage);
      assert.equal(count, 0);
    }
    const torn = disk.copy();
    torn.put(PATH, disk.bytesOf(PATH).slice().fill(0, (ends[4] ?? 0) + 32 + length - 7));
    assertFirst(read(torn).records, [long, ...SMALL], 5);
    assert.equal(disk.openReaders, 0);
  }
});

Deno.test("JournalWriter.durable() flushes once for all calls during a running flush", async () => {
  const disk = new Disk();
  const { writer } = write(disk, []);
  await writer.durable();
  assert.equal(writer.flushes, 1);
  const waiting: Promise<void>[] = [];
  for (let group = 0; group < 3; group++) {
    for (let n = 0; n < 16; n++) {
      writer.append(1, [bytes(n)]);
      waiting.push(writer.durable());
    }
    // The flush has begun and is not over: the next group shares another one.
    await Promise.resolve();
    await Promise.resolve();
  }
  await Promise.all(waiting);
  assert.equal(writer.flushes, 3);
  assert.equal(disk.log.filter(({ operation }) => operation === "flush").length, 3);
  assert.ok(writer.isFlushed);
  await writer.durable();
  assert.equal(writer.flushes, 3, "nothing to do");
});

Deno.test("JournalWriter.durable() resolves when everything appended before it is on disk", async () => {
  const disk = new Disk();
  const { writer } = write(disk, SMALL);
  await disk.sync("/run");
  const before = writer.durable();
  await Promise.resolve();
  await Promise.resolve();
  // The flush is running and does not include this record.
  writer.append(1, [bytes(9)]);
  await before;
  assertFirst(read(disk.powerCut()).records, SMALL, SMALL.length);
  assert.ok(!writer.isFlushed);
  await writer.durable();
  assert.equal(read(disk.powerCut()).records.length, SMALL.length + 1);
});

Deno.test("JournalWriter.flushNow() flushes at once, also during a running flush", async () => {
  const disk = new Disk();
  const { writer } = write(disk, SMALL);
  await disk.sync("/run");
  const waiting = writer.durable();
  await Promise.resolve();
  await Promise.resolve();
  writer.append(1, [bytes(9)]);
  writer.flushNow();
  assert.ok(writer.isFlushed);
  assert.equal(read(disk.powerCut()).records.length, SMALL.length + 1);
  await waiting;
  assert.ok(writer.isFlushed);
});

Deno.test("a journal cut at any byte keeps its complete records, and continues after them", () => {
  const disk = new Disk();
  const { ends } = write(disk, SMALL);
  const whole = disk.bytesOf(PATH);
  for (let length = 0; length <= whole.length; length++) {
    const cut = new Disk();
    cut.put(PATH, whole.slice(0, length));
    const found = read(cut);
    const count = ends.filter((end) => end <= length).length;
    assertFirst(found.records, SMALL, count);
    const end = count > 0 ? ends[count - 1] as number : length < HEADER ? 0 : HEADER;
    assert.deepEqual([found.generation, found.bytes, found.torn], [
      length < HEADER ? undefined : 3,
      end,
      length !== end || length < HEADER,
    ]);
    if (length < HEADER) continue;
    const writer = JournalWriter.resume(cut.resume(PATH, found.bytes), 7 + count);
    const next = { kind: 77, pieces: [bytes(1)] };
    writer.append(next.kind, next.pieces);
    assertFirst(read(cut).records, [...SMALL.slice(0, count), next], count + 1);
  }
});

Deno.test("a journal whose tail was never written reads like one that was cut there", () => {
  const disk = new Disk();
  const { ends } = write(disk, SMALL);
  const whole = disk.bytesOf(PATH);
  for (let length = 0; length < whole.length; length++) {
    for (const behind of [0, 5000]) {
      const zeros = new Disk();
      const left = new Uint8Array(whole.length + behind);
      left.set(whole.subarray(0, length));
      zeros.put(PATH, left);
      // A record may end in zeros, but the mark after it does not.
      const count = ends.filter((end) => end <= length).length;
      assertFirst(read(zeros).records, SMALL, count);
    }
  }
});

Deno.test("a journal with any one bit flipped is refused, and no record is lost silently", () => {
  const disk = new Disk();
  write(disk, SMALL);
  const whole = disk.bytesOf(PATH);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const flipped = new Disk();
    const bytes = whole.slice();
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    flipped.put(PATH, bytes);
    assert.throws(() => read(flipped), JournalDamage, `bit ${bit} of ${whole.length * 8}`);
  }
});

Deno.test("a journal with an overwritten range never gives a record that was not written", () => {
  const disk = new Disk();
  write(disk, SMALL);
  const whole = disk.bytesOf(PATH);
  fc.assert(
    fc.property(
      fc.nat({ max: whole.length - 1 }),
      fc.uint8Array({ minLength: 1, maxLength: 64 }),
      (at, stretch) => {
        const damaged = new Disk();
        const bytes = whole.slice();
        bytes.set(stretch.subarray(0, bytes.length - at), at);
        damaged.put(PATH, bytes);
        try {
          const { records } = read(damaged);
          assertFirst(records, SMALL, records.length);
        } catch (error) {
          if (!(error instanceof JournalDamage)) throw error;
        }
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("readJournal() refuses zeros followed by records, another format, and another file", () => {
  const disk = new Disk();
  const { ends } = write(disk, SMALL);
  const whole = disk.bytesOf(PATH);
  const refuses = (change: (bytes: Uint8Array<ArrayBuffer>) => void, pattern: RegExp) => {
    const changed = new Disk();
    const bytes = whole.slice();
    change(bytes);
    changed.put(PATH, bytes);
    assert.throws(
      () => read(changed),
      (error) => error instanceof JournalDamage && pattern.test(error.message),
    );
  };
  const [first = 0, second = 0] = ends;
  const sign = (bytes: Uint8Array) =>
    new DataView(bytes.buffer).setUint32(16, crc32(bytes.subarray(0, 16)), true);
  refuses((bytes) => bytes.fill(0, first, second), /at byte 60 the header of a record/);
  refuses((bytes) => bytes.fill(0, HEADER, first), /at byte 20 the header of a record/);
  refuses((bytes) => bytes.fill(0, 0, HEADER), /at byte 0 the header is not a journal's/);
  refuses((bytes) => {
    bytes[8] = 2;
    sign(bytes);
  }, /at byte 8 its format is 2, must be 1/);
  refuses((bytes) => {
    bytes.set(new TextEncoder().encode("PK\x03\x04"));
    sign(bytes);
  }, /at byte 0 this is no journal/);
  // A complete record in the place of another one.
  const small = new Disk();
  const pair = write(small, [{ kind: 1, pieces: [bytes(1)] }, { kind: 1, pieces: [bytes(2)] }, {
    kind: 1,
    pieces: [bytes(3)],
  }]).ends as [number, number, number];
  const all = small.bytesOf(PATH);
  const swapped = new Disk();
  swapped.put(PATH, Uint8Array.from([...all.subarray(0, pair[0]), ...all.subarray(pair[1])]));
  assert.throws(() => read(swapped), /record 9 stands where 8 was expected/);
});

Deno.test("readJournal() reads no further than its bound", () => {
  const disk = new Disk();
  const { ends } = write(disk, SMALL);
  for (const [count, bytesMax] of [HEADER, ...ends].entries()) {
    const found = read(disk, { bytesMax });
    assertFirst(found.records, SMALL, count);
    assert.deepEqual([found.bytes, found.torn], [bytesMax, count < SMALL.length]);
  }
});

Deno.test("JournalWriter.append() leaves the journal unchanged if the disk fails at any byte", async () => {
  const length = (() => {
    const { ends } = write(new Disk(), SMALL);
    return (ends[3] as number) - (ends[2] as number);
  })();
  for (const message of [NO_SPACE, IO_ERROR]) {
    for (let taken = 0; taken < length; taken++) {
      const disk = new Disk();
      const { writer, ends } = write(disk, SMALL.slice(0, 3));
      let left = taken;
      disk.fault = (operation, _, bytes) => {
        if (operation !== "write") return;
        if (left === 0) throw new Error(message);
        const now = Math.min(bytes, left);
        left -= now;
        return now;
      };
      const last = SMALL[3] as Written;
      assert.throws(() => writer.append(last.kind, last.pieces), { message });
      disk.fault = () => {};
      assert.equal(writer.broken, false);
      assert.equal(writer.bytes, ends[2]);
      assert.equal(writer.sequence, 10);
      assert.equal(disk.bytesOf(PATH).length, ends[2]);
      writer.append(last.kind, last.pieces);
      await writer.durable();
      assertFirst(read(disk).records, SMALL, 4);
    }
  }
});

Deno.test("JournalWriter refuses all records once a write could not be undone or a flush has failed", async () => {
  const failing = (failing: readonly string[]) => {
    const disk = new Disk();
    const { writer } = write(disk, SMALL.slice(0, 3));
    disk.fault = (operation) => {
      if (failing.includes(operation)) throw new Error(IO_ERROR);
    };
    return { disk, writer };
  };
  const written = failing(["write", "truncate"]);
  assert.throws(() => written.writer.append(1, [bytes(1)]), { message: IO_ERROR });
  const flushed = failing(["flush"]);
  flushed.writer.append(1, [bytes(1)]);
  await Promise.all([0, 1, 2].map(() => assert.rejects(flushed.writer.durable(), { message: IO_ERROR })));
  const atOnce = failing(["flush"]);
  assert.throws(() => atOnce.writer.flushNow(), { message: IO_ERROR });
  for (const { disk, writer } of [written, flushed, atOnce]) {
    disk.fault = () => {};
    assert.ok(writer.broken);
    assert.throws(() => writer.append(1, [bytes(2)]), /broken/);
    // A second flush would succeed, and would not mean that the bytes are on disk.
    await assert.rejects(writer.durable(), /broken/);
    assert.throws(() => writer.flushNow(), /broken/);
  }
});
