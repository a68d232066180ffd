/**
 * Snapshot files: a run's checkpoint as safetensors, written aside, flushed, renamed, its folder flushed.
 *
 *     snapshot-GENERATION.safetensors       (any safetensors reader opens it)
 *
 * The checksum of the whole file is kept elsewhere (kv.ts), so that the file stays plain safetensors. Invariant: a
 * file of this name is whole; what was being written when the process died has another name.
 */
import { crc32 } from "node:zlib";
import type { AppendFile, Files } from "./files.ts";
import type { SnapshotRecord } from "./kv.ts";

/** Bytes that are written at a time; between them the event loop serves others. */
const PIECE_BYTES = 1024 ** 2;

export const snapshotName = (generation: number) => `snapshot-${generation}.safetensors`;
/** What a snapshot is called until it is whole. */
export const asideName = (generation: number) => `${snapshotName(generation)}.part`;

export interface FilePlace {
  readonly folder: string;
  readonly generation: number;
}

const asidePath = ({ folder, generation }: FilePlace) => `${folder}/${asideName(generation)}`;

/**
 * A snapshot that is being written piece by piece. What a piece is a view of may change as soon as it is written, and
 * not before: whoever changes it calls `finishPieces` first.
 */
export class SnapshotWriter {
  readonly #files: Files;
  readonly #place: FilePlace;
  readonly #file: AppendFile;
  readonly #pieces: Iterator<Uint8Array>;
  #crc = 0;
  #failure: { readonly error: unknown } | undefined;

  /** Begins the file; nothing of the pieces is used yet. Throws what the disk throws. */
  constructor(files: Files, place: FilePlace, pieces: Iterable<Uint8Array>) {
    this.#files = files;
    this.#place = place;
    this.#file = files.create(asidePath(place));
    this.#pieces = pieces[Symbol.iterator]();
  }

  /** Writes the pieces that are left, others being served in between. Durable when this resolves. */
  async finish(): Promise<SnapshotRecord> {
    const { folder, generation } = this.#place;
    try {
      for (let from = 0; this.#writeNext();) {
        if (this.#file.bytes - from < PIECE_BYTES) continue;
        from = this.#file.bytes;
        await yieldToOthers();
      }
      if (this.#failure) throw this.#failure.error;
      await this.#file.sync();
      await this.#files.rename(asidePath(this.#place), `${folder}/${snapshotName(generation)}`);
    } catch (error) {
      await this.#files.remove(asidePath(this.#place)).catch(() => {});
      throw error;
    } finally {
      this.#file.release();
    }
    await this.#files.sync(folder);
    return { generation, bytes: this.#file.bytes, crc32: this.#crc };
  }

  /** Writes the pieces that are left while everybody waits: what they are views of is about to change. */
  finishPieces(): void {
    while (this.#writeNext());
  }

  /** What the pieces are views of is gone: `finish` throws `error` unless all of them were written. */
  abandon(error: Error): void {
    if (this.#pieces.next().done !== true) this.#failure ??= { error };
  }

  /** Whether there may be more. */
  #writeNext(): boolean {
    if (this.#failure) return false;
    try {
      const { value, done } = this.#pieces.next();
      if (done) return false;
      this.#file.append([value]);
      this.#crc = crc32(value, this.#crc);
      return true;
    } catch (error) {
      this.#failure = { error };
      return false;
    }
  }
}

/** Lets requests that wait be served. */
function yieldToOthers(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
