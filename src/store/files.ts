/**
 * The few things that the store does to files, so that tests can make any of them fail.
 *
 * Invariant: an append that throws has left the file as long as it was, or has marked it broken: a broken file takes
 * nothing more.
 */
import { type Releasable, releasable } from "../releasable.ts";
import { FilePool, type RawFile } from "./file_pool.ts";

/** A file that only grows, until it is released. */
export class AppendFile implements Releasable {
  readonly #file: RawFile;
  readonly #held: Releasable;
  #bytes: number;
  #broken = false;

  constructor(file: RawFile, bytes: number) {
    this.#file = file;
    this.#held = releasable(() => file.close());
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether what the file holds is not known any more. */
  get broken(): boolean {
    return this.#broken;
  }

  /** Writes all pieces behind one another. */
  append(pieces: readonly Uint8Array[]): void {
    this.#assertWhole();
    let written = 0;
    try {
      for (const piece of joined(pieces)) {
        for (let at = 0; at < piece.length;) {
          const count = this.#file.writeSync(piece.subarray(at));
          if (count === 0) throw new Error("The file took nothing");
          at += count;
        }
        written += piece.length;
      }
    } catch (error) {
      this.#undo();
      throw error;
    }
    this.#bytes += written;
  }

  #assertWhole(): void {
    if (this.#broken) throw new Error("The file is broken: an earlier write or flush failed");
  }

  #undo(): void {
    try {
      this.#file.truncateSync(this.#bytes);
      this.#file.seekSync(this.#bytes, Deno.SeekMode.Start);
    } catch {
      this.#broken = true;
    }
  }

  /**
   * Everything appended so far is on disk when this resolves, in a file that still has a name: bytes of a file that
   * somebody removed are gone with the process.
   */
  async sync(): Promise<void> {
    this.#assertWhole();
    try {
      this.#assertNamed();
      await this.#file.syncData();
    } catch (error) {
      // After a failed flush nobody knows which bytes are on disk, and a second one would not tell.
      this.#broken = true;
      throw error;
    }
  }

  /** As `sync`, while everybody waits: for the little that is left when a file is finished. */
  syncNow(): void {
    this.#assertWhole();
    try {
      this.#assertNamed();
      this.#file.syncDataSync();
    } catch (error) {
      this.#broken = true;
      throw error;
    }
  }

  #assertNamed(): void {
    if (this.#file.statSync().nlink === 0) throw new Error("The file was removed while it was in use");
  }

  release(): void {
    this.#held.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** Smaller pieces are copied together: one call for each tensor of a model with thousands costs more. */
const scratch = new Uint8Array(64 * 1024);

/** The same bytes in fewer pieces; each is to be written before the next is asked for. */
function* joined(pieces: readonly Uint8Array[]): Generator<Uint8Array> {
  let filled = 0;
  for (const piece of pieces) {
    if (filled > 0 && filled + piece.length > scratch.length) {
      yield scratch.subarray(0, filled);
      filled = 0;
    }
    if (piece.length > scratch.length) yield piece;
    else {
      scratch.set(piece, filled);
      filled += piece.length;
    }
  }
  if (filled > 0) yield scratch.subarray(0, filled);
}

/** Reads a file from its beginning, until it is released. */
export interface FileReader extends Releasable {
  /** Bytes of the whole file. */
  readonly bytes: number;
  /** The next `count` bytes, fewer at the end of the file; good until the next call. */
  next(count: number): Uint8Array<ArrayBuffer>;
  /** As `next`, while others are served, and for good. */
  nextLater(count: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Goes on at byte `at`. */
  seek(at: number): void;
}

export interface Files {
  /** A new, empty file; throws when there is one. */
  create(path: string): AppendFile;
  /** An existing file, cut to `bytes`; throws when it has fewer. */
  resume(path: string, bytes: number): AppendFile;
  read(path: string): FileReader;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Makes what a file holds durable, or the names in a folder. */
  sync(path: string): Promise<void>;
  makeFolder(path: string): Promise<void>;
  removeFolder(path: string): Promise<void>;
  /** Gives a folder another name; throws when there is one of that name. */
  moveFolder(from: string, to: string): Promise<void>;
  list(path: string): string[];
}

/** The files of this machine; those that are appended to come from `pool`. */
export const filesOf = (pool: FilePool): Files => ({
  create: (path) => new AppendFile(pool.create(path), 0),
  resume: (path, bytes) => {
    using opened = new DisposableStack();
    const file = opened.adopt(pool.open(path), (file) => file.close());
    const { size } = file.statSync();
    if (size < bytes) throw new Error(`The file has ${size} bytes, must have ${bytes}`);
    if (size > bytes) {
      file.truncateSync(bytes);
      file.syncDataSync();
    }
    file.seekSync(bytes, Deno.SeekMode.Start);
    opened.move();
    return new AppendFile(file, bytes);
  },
  read: (path) => {
    const file = pool.opened(() => Deno.openSync(path, { read: true }));
    const { size } = file.statSync();
    // Used again: memory that is new with every piece costs more than what is read into it.
    let buffer = new Uint8Array(0);
    return {
      bytes: size,
      next: (count) => {
        const wanted = Math.min(count, size);
        if (buffer.length < wanted) buffer = new Uint8Array(wanted);
        const bytes = buffer.subarray(0, wanted);
        let filled = 0;
        while (filled < bytes.length) {
          const read = file.readSync(bytes.subarray(filled));
          if (read === null) break;
          filled += read;
        }
        return bytes.subarray(0, filled);
      },
      nextLater: async (count) => {
        const bytes = new Uint8Array(Math.min(count, size));
        let filled = 0;
        while (filled < bytes.length) {
          const read = await file.read(bytes.subarray(filled));
          if (read === null) break;
          filled += read;
        }
        return bytes.subarray(0, filled);
      },
      seek: (at) => void file.seekSync(at, Deno.SeekMode.Start),
      ...releasable(() => file.close()),
    };
  },
  rename: (from, to) => Deno.rename(from, to),
  remove: (path) => Deno.remove(path),
  sync: async (path) => {
    using file = pool.opened(() => Deno.openSync(path, { read: true }));
    await file.sync();
  },
  makeFolder: (path) => Deno.mkdir(path, { recursive: true }),
  removeFolder: (path) => Deno.remove(path, { recursive: true }),
  moveFolder: (from, to) => Deno.rename(from, to),
  list: (path) => [...Deno.readDirSync(path)].map(({ name }) => name),
});

export const localFiles = filesOf(new FilePool());
