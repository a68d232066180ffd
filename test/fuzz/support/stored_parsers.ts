/** The parsers of what the service has written and a disk may have damaged: journals, snapshots, small files. */
import fc from "fast-check";
import { crc32 } from "node:zlib";
import { EventLog } from "../../../src/run/answers/events.ts";
import { CheckedFileDamage, readCheckedFile } from "../../../src/store/checked_file.ts";
import { JournalDamage, readJournal } from "../../../src/store/journal_reader.ts";
import { journalHeader, JournalWriter } from "../../../src/store/journal_writer.ts";
import { readSnapshot, SnapshotDamage } from "../../../src/store/snapshot_reader.ts";
import { snapshotName } from "../../../src/store/snapshot_writer.ts";
import { Disk } from "../../store/support/disk.ts";
import { type Parser, pure } from "./law.ts";
import { joined } from "../../../src/wire/joined.ts";
import { damaged, damagedBytes, seldom } from "./texts.ts";

const OWNER = { run: "demo", incarnation: "only" };
const bytes = fc.uint8Array({ maxLength: 40 }) as fc.Arbitrary<Uint8Array<ArrayBuffer>>;

const journal = fc.array(fc.tuple(fc.nat(5), fc.oneof(bytes, fc.constant(new Uint8Array(64)))), {
  maxLength: 4,
}).map(
  (records) => {
    const disk = new Disk();
    const writer = JournalWriter.begin(disk.create("/journal"), { generation: 3, sequence: 7, owner: OWNER });
    for (const [kind, payload] of records) writer.append(kind, [payload]);
    return disk.bytesOf("/journal");
  },
);

/** Whole records with lengths that lie, whose checksums fit. */
const lyingRecord = fc.tuple(
  fc.constantFrom(0n, 1n, 2n ** 31n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
  fc.constantFrom(7n, 8n, 2n ** 64n - 1n),
).map(([length, sequence]) => {
  const header = new Uint8Array(32), view = new DataView(header.buffer);
  view.setUint32(0, 0x43455253, true);
  view.setBigUint64(8, length, true);
  view.setBigUint64(16, sequence, true);
  view.setUint32(28, crc32(header.subarray(0, 28)), true);
  return joined([journalHeader(3, OWNER), header, new Uint8Array(40).fill(7)]);
});

const checkedFile = fc.json({ maxDepth: 3 }).map((text) => {
  const value = JSON.stringify(JSON.parse(text));
  return `{"format":1,"crc32":${crc32(value)},"run":${value}}\n`;
});

export const STORED_PARSERS: readonly Parser[] = [
  pure({
    name: "journals",
    inputs: seldom(damagedBytes(journal), lyingRecord, 20),
    share: 3,
    isRefusal: (error) => error instanceof JournalDamage,
    read: (bytes) => {
      const disk = new Disk(), records: unknown[] = [];
      disk.put("/journal", bytes);
      const content = readJournal(disk, "/journal", ({ kind, sequence, payload }) => {
        records.push([kind, sequence, payload.next(payload.bytes).slice()]);
      });
      return [content, records, disk.openReaders];
    },
  }),
  pure({
    name: "snapshots",
    inputs: fc.tuple(bytes, fc.boolean()).chain(([whole, isDamaged]) =>
      fc.tuple(fc.constant(whole), isDamaged ? damagedBytes(fc.constant(whole)) : fc.constant(whole))
    ),
    isRefusal: (error) => error instanceof SnapshotDamage,
    read: ([whole, found]) => {
      const disk = new Disk(), pieces: Uint8Array[] = [];
      disk.put(`/run/${snapshotName(1)}`, found);
      const record = { generation: 1, bytes: whole.length, crc32: crc32(whole) };
      readSnapshot(disk, "/run", record, (piece) => void pieces.push(piece.slice()));
      return joined(pieces);
    },
  }),
  pure({
    name: "small files",
    inputs: seldom(damaged(checkedFile), fc.json(), 20),
    share: 2,
    isRefusal: (error) => error instanceof CheckedFileDamage,
    read: (text) => {
      const disk = new Disk();
      disk.put("/run/run.json", new TextEncoder().encode(text));
      return readCheckedFile(disk, { folder: "/run", file: "run.json", member: "run" });
    },
  }),
  pure({
    name: "places in the events of a run",
    inputs: damaged(fc.constantFrom("0.0", "5.1", "5.2", "6.1", "-1.0", "999999999999999.999999", "7.1")),
    // The reader is told that it has missed some: counted as a refusal.
    isRefusal: (error) => error instanceof RangeError,
    read: (id) => {
      const log = new EventLog(5);
      for (const sequence of [5, 5, 6]) log.add(sequence, "round_opened", { round: sequence });
      const { events, missed } = log.since(id);
      if (missed) throw new RangeError("missed");
      return events;
    },
  }),
];
