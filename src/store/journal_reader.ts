/**
 * Reads journals (journal_writer.ts has the layout) in bounded pieces: whatever is in a record, its checksum was found
 * to fit before anybody gets a byte of it. A long record is read twice for that, the second time from the system's cache.
 */
import { crc32 } from "node:zlib";
import { atOnce } from "../slices.ts";
import type { FileReader, Files } from "./files.ts";
import {
  FILE_HEADER_BYTES,
  JOURNAL_FORMAT,
  JOURNAL_FORMAT_WITHOUT_OWNER,
  type JournalOwner,
  MAGIC,
  OWNER_PREFIX_BYTES,
  RECORD_END,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
} from "./journal_writer.ts";
import { reading } from "./storage_error.ts";

/** Bytes that are read at a time. */
const PIECE_BYTES = 1024 ** 2;
/** How long it takes to read a record, and each byte of it, in nanoseconds. */
const RECORD_UNITS = 20_000, BYTE_UNITS = 1;

/** A record; its payload can be read once, while it is handed out. */
export interface JournalRecord {
  readonly kind: number;
  readonly sequence: number;
  readonly payload: Payload;
}

export interface Payload {
  readonly bytes: number;
  /** The next `count` bytes, fewer at its end; good until the next call. */
  next(count: number): Uint8Array<ArrayBuffer>;
}

/** A journal whose bytes are not what was written, or not there. */
export class JournalDamage extends Error {
  override readonly name = "JournalDamage";
}

/** The whole records of a file. */
export interface JournalContent {
  /** Undefined where not even the file's header is there: nothing was ever appended. */
  readonly generation: number | undefined;
  /** Undefined in a file that does not say whose it is: one of format 1. */
  readonly owner?: JournalOwner;
  /** Where the last record ends: what follows is a torn tail. */
  readonly bytes: number;
  readonly torn: boolean;
}

interface ReadOptions {
  readonly bytesMax?: number;
  /** Called before the first record, of a file that says whose it is: throws to refuse it. */
  readonly onOwner?: (owner: JournalOwner) => void;
}

/** Uses a record; may yield after each piece of its work how long that took, in nanoseconds. */
export type OnRecord = (record: JournalRecord) => void | Generator<number, void>;

/** As {@link readingJournal}, at once. */
export function readJournal(
  files: Files,
  path: string,
  onRecord: (record: JournalRecord) => void,
  options: ReadOptions = {},
): JournalContent {
  return atOnce(readingJournal(files, path, (record) => void onRecord(record), options));
}

/**
 * Reads a journal record by record, up to byte `bytesMax`, in pieces. Throws {@link JournalDamage} when bytes are not
 * what was written, and storage_failed. A torn tail is the caller's to judge: it can only be at the end of the last
 * file.
 */
export function* readingJournal(
  files: Files,
  path: string,
  onRecord: OnRecord,
  { bytesMax = Infinity, onOwner = () => {} }: ReadOptions = {},
): Generator<number, JournalContent> {
  using file = reading(JournalDamage, () => files.read(path));
  const reader: FileReader = { ...file, next: (count) => reading(JournalDamage, () => file.next(count)) };
  const header = reader.next(FILE_HEADER_BYTES).slice();
  const view = new DataView(header.buffer);
  if (header.length < FILE_HEADER_BYTES || view.getUint32(16, true) !== crc32(header.subarray(0, 16))) {
    if (!isUnwritten(reader, header, FILE_HEADER_BYTES)) {
      throw damage(path, 0, "the header is not a journal's");
    }
    return { generation: undefined, bytes: 0, torn: true };
  }
  if (MAGIC.some((byte, index) => header[index] !== byte)) throw damage(path, 0, "this is no journal");
  const format = view.getUint32(8, true);
  if (format !== JOURNAL_FORMAT && format !== JOURNAL_FORMAT_WITHOUT_OWNER) {
    throw damage(path, 8, `its format is ${format}, must be at most ${JOURNAL_FORMAT}`);
  }
  let offset = FILE_HEADER_BYTES, sequence: number | undefined, owner: JournalOwner | undefined;
  if (format === JOURNAL_FORMAT) {
    const found = readOwner(reader, path);
    if (!found) return { generation: undefined, bytes: 0, torn: true };
    offset += found.bytes;
    owner = found.owner;
    onOwner(owner);
  }
  while (offset < Math.min(reader.bytes, bytesMax)) {
    const record = yield* readRecord(reader, { path, offset, sequence });
    if (record === undefined) break;
    offset += RECORD_HEADER_BYTES + record.payload.bytes + RECORD_END.length;
    const work = onRecord(record);
    if (work) yield* work;
    reader.seek(offset);
    sequence = record.sequence + 1;
    yield RECORD_UNITS;
  }
  const generation = view.getUint32(12, true);
  return { generation, bytes: offset, torn: reader.bytes > offset, ...owner && { owner } };
}

/** What follows the header of a file: whose it is. Undefined: it was not written to its end. */
function readOwner(
  reader: FileReader,
  path: string,
): { readonly owner: JournalOwner; readonly bytes: number } | undefined {
  const prefix = reader.next(OWNER_PREFIX_BYTES).slice();
  const view = new DataView(prefix.buffer);
  if (prefix.length < OWNER_PREFIX_BYTES || view.getUint32(4, true) !== crc32(prefix.subarray(0, 4))) {
    if (isUnwritten(reader, prefix, OWNER_PREFIX_BYTES)) return undefined;
    throw damage(path, FILE_HEADER_BYTES, "the length of its owner does not fit its checksum");
  }
  const length = view.getUint32(0, true), wanted = length + 4;
  const rest = reader.next(wanted).slice();
  if (
    rest.length === wanted &&
    new DataView(rest.buffer).getUint32(length, true) === crc32(rest.subarray(0, length))
  ) {
    const text = new TextDecoder().decode(rest.subarray(0, length));
    return { owner: JSON.parse(text) as JournalOwner, bytes: OWNER_PREFIX_BYTES + wanted };
  }
  if (isUnwritten(reader, rest, wanted)) return undefined;
  throw damage(path, FILE_HEADER_BYTES, "its owner does not fit its checksum");
}

interface Place {
  readonly path: string;
  readonly offset: number;
  readonly sequence: number | undefined;
}

/** Undefined: the record is torn. */
function* readRecord(
  reader: FileReader,
  { path, offset, sequence }: Place,
): Generator<number, JournalRecord | undefined> {
  const header = reader.next(RECORD_HEADER_BYTES).slice();
  const view = new DataView(header.buffer);
  if (
    header.length < RECORD_HEADER_BYTES || view.getUint32(28, true) !== crc32(header.subarray(0, 28)) ||
    view.getUint32(0, true) !== RECORD_MAGIC
  ) {
    if (isUnwritten(reader, header, RECORD_HEADER_BYTES)) return undefined;
    throw damage(path, offset, "the header of a record does not fit its checksum");
  }
  const length = Number(view.getBigUint64(8, true)), found = Number(view.getBigUint64(16, true));
  if (sequence !== undefined && found !== sequence) {
    throw damage(path, offset, `record ${found} stands where ${sequence} was expected`);
  }
  if (offset + RECORD_HEADER_BYTES + length + RECORD_END.length > reader.bytes) return undefined;
  const { payload, crc, end } = yield* readPayload(reader, { at: offset + RECORD_HEADER_BYTES, length });
  const isWhole = RECORD_END.every((byte, index) => end[index] === byte);
  if (!isWhole && isUnwritten(reader, end, RECORD_END.length)) return undefined;
  if (!isWhole || crc !== view.getUint32(24, true)) {
    throw damage(path, offset, `record ${found} does not fit its checksum`);
  }
  return { kind: view.getUint32(4, true), sequence: found, payload };
}

/** The payload that begins at byte `at`, which was read once to find its checksum, and what stands behind it. */
function* readPayload(
  reader: FileReader,
  { at, length }: { at: number; length: number },
): Generator<number, { readonly payload: Payload; readonly crc: number; readonly end: Uint8Array }> {
  if (length + RECORD_END.length <= PIECE_BYTES) {
    // In one piece, which stays as it is while the record is handed out.
    const bytes = reader.next(length + RECORD_END.length), whole = bytes.subarray(0, length);
    return { payload: payloadOf(length, piecesOf(whole)), crc: crc32(whole), end: bytes.subarray(length) };
  }
  let crc = 0;
  for (let left = length; left > 0;) {
    const piece = reader.next(Math.min(left, PIECE_BYTES));
    // The file has become shorter meanwhile: what comes instead of its end does not fit either.
    if (piece.length === 0) break;
    crc = crc32(piece, crc);
    left -= piece.length;
    yield BYTE_UNITS * piece.length;
  }
  const end = reader.next(RECORD_END.length).slice();
  let isThere = false;
  const again = (count: number) => {
    if (!isThere) reader.seek(at);
    isThere = true;
    return reader.next(count);
  };
  return { payload: payloadOf(length, again), crc, end };
}

function piecesOf(bytes: Uint8Array<ArrayBuffer>): (count: number) => Uint8Array<ArrayBuffer> {
  let at = 0;
  return (count) => bytes.subarray(at, at += count);
}

function payloadOf(bytes: number, next: Payload["next"]): Payload {
  let left = bytes;
  return {
    bytes,
    next: (count) => {
      const piece = next(Math.min(count, left));
      left -= piece.length;
      return piece;
    },
  };
}

/** Whether the bytes just read, of `wanted`, end early, or in zeros that go on to the end of the file. */
function isUnwritten(reader: FileReader, bytes: Uint8Array, wanted: number): boolean {
  if (bytes.length < wanted) return true;
  if (bytes.at(-1) !== 0) return false;
  for (;;) {
    const rest = reader.next(PIECE_BYTES);
    if (rest.length === 0) return true;
    if (rest.some((byte) => byte !== 0)) return false;
  }
}

function damage(path: string, offset: number, problem: string): JournalDamage {
  return new JournalDamage(`Cannot read the journal ${path}: at byte ${offset} ${problem}`);
}
