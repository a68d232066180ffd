/**
 * The journal of one run: every accepted change of its state, in order, in append-only files. What a record says is
 * for its writer; this is about bytes that are there whole, or known not to be.
 *
 *     file    "STEPJRNL" | format u32 | generation u32 | header crc32 u32 | records…
 *     record  magic u32 | kind u32 | length u64 | sequence u64 | payload crc32 u32 | header crc32 u32 | payload | end u32
 *
 * All integers little-endian. A header's crc32 covers what stands before it there, so that a length can be believed
 * before the payload is there. `sequence` rises by one from record to record.
 *
 * A record is torn, and with it the tail of the file, when the file ends within it, or when its last byte and
 * everything behind are zero: blocks that a file was given and that were never written read so after a power failure.
 * `end` holds no zero byte, so that a record which was written whole is never taken for a torn one. Whatever else does
 * not fit is damage. Invariant: what `append` wrote and `durable` confirmed is read back, in order, or refused; a
 * failed append leaves nothing.
 */
import { crc32 } from "node:zlib";
import type { AppendFile, FileReader, Files } from "./files.ts";
import { reading } from "./storage_error.ts";

const MAGIC = new TextEncoder().encode("STEPJRNL");
export const JOURNAL_FORMAT = 1;
export const FILE_HEADER_BYTES = 20;
const RECORD_MAGIC = 0x43455253;
const RECORD_HEADER_BYTES = 32;
const RECORD_END = new TextEncoder().encode("DONE");
/** Bytes that are looked at a time where only zeros should be. */
const PIECE_BYTES = 1024 ** 2;

export interface JournalRecord {
  readonly kind: number;
  readonly sequence: number;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** A journal whose bytes are not what was written, or not there. */
export class JournalDamage extends Error {
  override readonly name = "JournalDamage";
}

/** Appends to one file. Appending is synchronous, flushing is shared by all who wait for it. */
export class JournalWriter {
  readonly #file: AppendFile;
  #sequence: number;
  #flushed: number;
  #flushing: Promise<void> | undefined;
  flushes = 0;

  private constructor(file: AppendFile, { sequence, flushed }: { sequence: number; flushed: number }) {
    this.#file = file;
    this.#sequence = sequence;
    this.#flushed = flushed;
  }

  /** Begins an empty file: durable once `durable` has resolved and its folder was synced. */
  static begin(file: AppendFile, options: { generation: number; sequence: number }): JournalWriter {
    const header = new Uint8Array(FILE_HEADER_BYTES);
    header.set(MAGIC);
    const view = new DataView(header.buffer);
    view.setUint32(8, JOURNAL_FORMAT, true);
    view.setUint32(12, options.generation, true);
    view.setUint32(16, crc32(header.subarray(0, 16)), true);
    file.append([header]);
    return new JournalWriter(file, { sequence: options.sequence, flushed: 0 });
  }

  /** Goes on after the last whole record of a file that was read, is on disk, and was cut there. */
  static resume(file: AppendFile, sequence: number): JournalWriter {
    return new JournalWriter(file, { sequence, flushed: file.bytes });
  }

  /** Bytes of the file that are on disk. */
  get flushed(): number {
    return this.#flushed;
  }

  get isFlushed(): boolean {
    return this.#flushed >= this.#file.bytes;
  }

  /** Whether what the file holds is not known any more. */
  get broken(): boolean {
    return this.#file.broken;
  }

  /** Bytes of the file. */
  get bytes(): number {
    return this.#file.bytes;
  }

  /** The sequence number of the next record. */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * Writes one record of the pieces in `payload`, which may be views of wasm memory. Throws what the file throws,
   * after the file is as it was before.
   */
  append(kind: number, payload: readonly Uint8Array[]): void {
    const header = new Uint8Array(RECORD_HEADER_BYTES);
    const view = new DataView(header.buffer);
    view.setUint32(0, RECORD_MAGIC, true);
    view.setUint32(4, kind, true);
    view.setBigUint64(8, BigInt(payload.reduce((sum, piece) => sum + piece.length, 0)), true);
    view.setBigUint64(16, BigInt(this.#sequence), true);
    view.setUint32(24, payload.reduce((crc, piece) => crc32(piece, crc), 0), true);
    view.setUint32(28, crc32(header.subarray(0, 28)), true);
    this.#file.append([header, ...payload, RECORD_END]);
    this.#sequence += 1;
  }

  /** Resolves once everything appended so far is on disk. One flush serves all who waited when it began. */
  async durable(): Promise<void> {
    const wanted = this.#file.bytes;
    while (this.#flushed < wanted) {
      this.#flushing ??= this.#flush();
      await this.#flushing;
    }
  }

  async #flush(): Promise<void> {
    // Everybody who asks within this turn of the event loop shares the flush.
    await Promise.resolve();
    const bytes = this.#file.bytes;
    try {
      // `flushNow` came first; the file may be closed by now.
      if (this.isFlushed) return;
      await this.#file.sync();
      this.flushes += 1;
      this.#flushed = Math.max(this.#flushed, bytes);
    } finally {
      this.#flushing = undefined;
    }
  }

  /** As `durable`, while everybody waits: for what has come in since the last flush. */
  flushNow(): void {
    if (this.isFlushed) return;
    this.#file.syncNow();
    this.flushes += 1;
    this.#flushed = this.#file.bytes;
  }

  close(): void {
    this.#file.close();
  }
}

/** The whole records of a file. */
export interface JournalContent {
  /** Undefined where not even the file's header is there: nothing was ever appended. */
  readonly generation: number | undefined;
  /** Where the last record ends: what follows is a torn tail. */
  readonly bytes: number;
  readonly torn: boolean;
}

/**
 * Reads a journal record by record, up to byte `bytesMax`. Throws {@link JournalDamage} when bytes are not what was
 * written, and storage_failed. A torn tail is the caller's to judge: it can only be at the end of the last file.
 */
export function readJournal(
  files: Files,
  path: string,
  onRecord: (record: JournalRecord) => void,
  { bytesMax = Infinity }: { bytesMax?: number } = {},
): JournalContent {
  const file = reading(JournalDamage, () => files.read(path));
  const reader: FileReader = { ...file, next: (count) => reading(JournalDamage, () => file.next(count)) };
  try {
    const header = reader.next(FILE_HEADER_BYTES);
    const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
    if (header.length < FILE_HEADER_BYTES || view.getUint32(16, true) !== crc32(header.subarray(0, 16))) {
      if (!isUnwritten(reader, header, FILE_HEADER_BYTES)) {
        throw damage(path, 0, "the header is not a journal's");
      }
      return { generation: undefined, bytes: 0, torn: true };
    }
    if (MAGIC.some((byte, index) => header[index] !== byte)) throw damage(path, 0, "this is no journal");
    const format = view.getUint32(8, true);
    if (format !== JOURNAL_FORMAT) {
      throw damage(path, 8, `its format is ${format}, must be ${JOURNAL_FORMAT}`);
    }
    let offset = FILE_HEADER_BYTES, sequence: number | undefined;
    while (offset < Math.min(reader.bytes, bytesMax)) {
      const record = readRecord(reader, { path, offset, sequence });
      if (record === undefined) break;
      onRecord(record);
      offset += RECORD_HEADER_BYTES + record.payload.length + RECORD_END.length;
      sequence = record.sequence + 1;
    }
    return { generation: view.getUint32(12, true), bytes: offset, torn: reader.bytes > offset };
  } finally {
    reader.close();
  }
}

interface Place {
  readonly path: string;
  readonly offset: number;
  readonly sequence: number | undefined;
}

/** Undefined: the record is torn. */
function readRecord(reader: FileReader, { path, offset, sequence }: Place): JournalRecord | undefined {
  const header = reader.next(RECORD_HEADER_BYTES);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
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
  const payload = reader.next(length), end = reader.next(RECORD_END.length);
  const isWhole = RECORD_END.every((byte, index) => end[index] === byte);
  if (!isWhole && isUnwritten(reader, end, RECORD_END.length)) return undefined;
  if (!isWhole || crc32(payload) !== view.getUint32(24, true)) {
    throw damage(path, offset, `record ${found} does not fit its checksum`);
  }
  return { kind: view.getUint32(4, true), sequence: found, payload };
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
