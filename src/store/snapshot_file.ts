/**
 * A snapshot that is sent as it lies on the disk: held open, so that it may be removed meanwhile, and read in pieces
 * between which others are served.
 *
 * Invariant: its last bytes are given out only when the checksum of all of them fits.
 */
import { crc32 } from "node:zlib";
import type { Releasable } from "../releasable.ts";
import type { FileReader, Files } from "./files.ts";
import type { SnapshotRecord } from "./kv.ts";
import { SnapshotDamage } from "./snapshot_reader.ts";
import { snapshotName } from "./snapshot_writer.ts";
import { reading, readingLater } from "./storage_error.ts";

export class SnapshotFile implements Releasable {
  readonly #path: string;
  readonly #reader: FileReader;
  readonly #wanted: number;
  #crc = 0;
  #left: number;

  /** Throws {@link SnapshotDamage} and storage_failed. */
  constructor(files: Files, folder: string, { generation, bytes, crc32 }: SnapshotRecord) {
    this.#path = `${folder}/${snapshotName(generation)}`;
    this.#reader = reading(SnapshotDamage, () => files.read(this.#path));
    this.#left = bytes;
    this.#wanted = crc32;
    if (this.#reader.bytes === bytes) return;
    this.release();
    throw this.damage(`it has ${this.#reader.bytes} bytes, must have ${bytes}`);
  }

  /** Bytes that were not given out yet. */
  get left(): number {
    return this.#left;
  }

  /** The next `count` bytes, fewer at the end. Throws {@link SnapshotDamage} and storage_failed. */
  async next(count: number): Promise<Uint8Array<ArrayBuffer>> {
    const wanted = Math.min(count, this.#left);
    const bytes = await readingLater(SnapshotDamage, () => this.#reader.nextLater(wanted));
    if (bytes.length < wanted) throw this.damage("it ends early");
    this.#crc = crc32(bytes, this.#crc);
    this.#left -= bytes.length;
    if (this.#left === 0 && this.#crc !== this.#wanted) throw this.damage("its checksum does not fit");
    return bytes;
  }

  damage(problem: string): SnapshotDamage {
    return new SnapshotDamage(`Cannot read the snapshot ${this.#path}: ${problem}`);
  }

  release(): void {
    this.#reader.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
