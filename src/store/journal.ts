/**
 * The journal of one run: every accepted change of its state, in order, in append-only files. What a record says is
 * for its writer; this is about bytes that are there whole, or known not to be.
 *
 *     file    "STEPJRNL" | format u32 | generation u32 | records…
 *     record  magic u32 | kind u32 | length u64 | sequence u64 | payload crc32 u32 | header crc32 u32 | payload
 *
 * All integers little-endian. The header's crc32 covers its first 28 bytes, so that a length can be believed before
 * the payload is there: a record that ends early was being written when the process died (a torn tail, cut off on
 * opening), anything else that does not fit is damage and is refused. `sequence` rises by one from record to record.
 *
 * Invariant: what `append` wrote and `durable` confirmed is read back, in order; a failed append leaves nothing.
 */
import { crc32 } from "node:zlib";
import { type AppendFile, type Files, isZero } from "./files.ts";

const MAGIC = new TextEncoder().encode("STEPJRNL");
export const JOURNAL_FORMAT = 1;
const FILE_HEADER_BYTES = 16;
const RECORD_MAGIC = 0x43455253;
const RECORD_HEADER_BYTES = 32;
/** Larger than any body that is taken; a length beyond it is damage. */
const PAYLOAD_BYTES_MAX = 2 ** 40;

export interface JournalRecord {
  readonly kind: number;
  readonly sequence: number;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** A journal whose bytes are not what was written; `offset` is where in the file. */
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

  private constructor(file: AppendFile, sequence: number) {
    this.#file = file;
    this.#sequence = sequence;
    this.#flushed = file.bytes;
  }

  /** Begins an empty file: durable once `durable` has resolved and its folder was synced. */
  static begin(file: AppendFile, options: { generation: number; sequence: number }): JournalWriter {
    const header = new Uint8Array(FILE_HEADER_BYTES);
    header.set(MAGIC);
    const view = new DataView(header.buffer);
    view.setUint32(8, JOURNAL_FORMAT, true);
    view.setUint32(12, options.generation, true);
    file.append([header]);
    const writer = new JournalWriter(file, options.sequence);
    writer.#flushed = 0;
    return writer;
  }

  /** Goes on after the last whole record of a file that was read and cut there. */
  static resume(file: AppendFile, sequence: number): JournalWriter {
    return new JournalWriter(file, sequence);
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
    this.#file.append([header, ...payload]);
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
      await this.#file.sync();
      this.flushes += 1;
      this.#flushed = bytes;
    } finally {
      this.#flushing = undefined;
    }
  }

  close(): void {
    this.#file.close();
  }
}

/** The whole records of a file. `bytes` is where the last one ends: what follows is a torn tail. */
export interface JournalContent {
  readonly generation: number;
  readonly bytes: number;
  readonly torn: boolean;
}

/**
 * Reads a journal record by record. Throws {@link JournalDamage} when bytes are not what was written; a tail that
 * ends early, or that never left the page cache (zeros), is torn and only allowed at the end of the last file.
 */
export function readJournal(
  files: Files,
  path: string,
  onRecord: (record: JournalRecord) => void,
): JournalContent {
  const reader = files.read(path);
  try {
    const header = reader.next(FILE_HEADER_BYTES);
    if (header.length < FILE_HEADER_BYTES || isZero(header)) return { generation: -1, bytes: 0, torn: true };
    const view = new DataView(header.buffer, header.byteOffset);
    if (MAGIC.some((byte, index) => header[index] !== byte)) throw damage(path, 0, "this is no journal");
    const format = view.getUint32(8, true);
    if (format !== JOURNAL_FORMAT) {
      throw damage(path, 8, `its format is ${format}, must be ${JOURNAL_FORMAT}`);
    }
    let offset = FILE_HEADER_BYTES, sequence: number | undefined;
    for (;;) {
      const record = readRecord(reader, { path, offset, sequence });
      if (record === undefined) {
        return { generation: view.getUint32(12, true), bytes: offset, torn: reader.bytes > offset };
      }
      onRecord(record);
      offset += RECORD_HEADER_BYTES + record.payload.length;
      sequence = record.sequence + 1;
    }
  } finally {
    reader.close();
  }
}

interface Place {
  readonly path: string;
  readonly offset: number;
  readonly sequence: number | undefined;
}

/** Undefined: the file ends here, or within this record. */
function readRecord(
  reader: { next(bytes: number): Uint8Array<ArrayBuffer>; readonly bytes: number },
  { path, offset, sequence }: Place,
): JournalRecord | undefined {
  const header = reader.next(RECORD_HEADER_BYTES);
  if (header.length < RECORD_HEADER_BYTES || isZero(header)) return undefined;
  const view = new DataView(header.buffer, header.byteOffset);
  if (
    view.getUint32(28, true) !== crc32(header.subarray(0, 28)) || view.getUint32(0, true) !== RECORD_MAGIC
  ) {
    throw damage(path, offset, "the header of a record does not fit its checksum");
  }
  const length = Number(view.getBigUint64(8, true)), found = Number(view.getBigUint64(16, true));
  if (length > PAYLOAD_BYTES_MAX) throw damage(path, offset, `a record claims ${length} bytes`);
  if (sequence !== undefined && found !== sequence) {
    throw damage(path, offset, `record ${found} stands where ${sequence} was expected`);
  }
  if (offset + RECORD_HEADER_BYTES + length > reader.bytes) return undefined;
  const payload = reader.next(length);
  if (crc32(payload) !== view.getUint32(24, true)) {
    const last = offset + RECORD_HEADER_BYTES + length === reader.bytes;
    // Blocks that were allocated and never written read as zeros after a power failure.
    if (last && isZero(payload.subarray(-Math.min(length, 512)))) return undefined;
    throw damage(path, offset, `the payload of record ${found} does not fit its checksum`);
  }
  return { kind: view.getUint32(4, true), sequence: found, payload };
}

function damage(path: string, offset: number, problem: string): JournalDamage {
  return new JournalDamage(`Cannot read the journal ${path}: at byte ${offset} ${problem}`);
}
