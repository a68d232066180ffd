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
import type { Releasable } from "../releasable.ts";
import type { AppendFile } from "./files.ts";

export const MAGIC = new TextEncoder().encode("STEPJRNL");
export const JOURNAL_FORMAT = 1;
export const FILE_HEADER_BYTES = 20;
export const RECORD_MAGIC = 0x43455253;
export const RECORD_HEADER_BYTES = 32;
export const RECORD_END = new TextEncoder().encode("DONE");

/** Appends to one file. Appending is synchronous, flushing is shared by all who wait for it. */
export class JournalWriter implements Releasable {
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

  /** Gives the file back. */
  release(): void {
    this.#file.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
