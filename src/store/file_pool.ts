/**
 * Files that are appended to, of which only some are open at a time: the others are closed, and opened again when they
 * are used. A service with many idle runs would otherwise run out of file descriptors.
 *
 * Invariants: only a file without unflushed bytes is closed early, so that no failed write can be missed; a file that
 * is opened again is the same one, or its use throws.
 */
import { isExhausted } from "../descriptors.ts";

/** What of Deno.FsFile is used for writing. */
export interface RawFile {
  writeSync(bytes: Uint8Array): number;
  truncateSync(bytes: number): void;
  seekSync(offset: number, whence: Deno.SeekMode): number;
  syncData(): Promise<void>;
  syncDataSync(): void;
  /** `nlink` counts the names of the file; null where the platform cannot tell. */
  statSync(): { readonly nlink: number | null };
  close(): void;
}

/** How many of the longest unused files are looked at for one that can be closed. */
const LOOKED_AT = 16;

interface FilePoolOptions {
  /** Files that stay open, but for those with unflushed bytes. */
  readonly openMax?: number;
  /** Called when there is no descriptor. Returns whether there may be one now. */
  readonly giveWay?: () => boolean;
}

export class FilePool {
  #openMax: number;
  readonly #giveWay: () => boolean;
  /** The longest unused one first. */
  readonly #open = new Set<PooledFile>();

  constructor({ openMax = Infinity, giveWay = () => false }: FilePoolOptions = {}) {
    this.#openMax = openMax;
    this.#giveWay = giveWay;
  }

  /** The number of files that are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Known only once the first files are open. */
  set openMax(count: number) {
    this.#openMax = count;
    while (this.#open.size > count && this.#park());
  }

  /** A new, empty file; throws when there is one. */
  create(path: string): PooledFile {
    return this.#add(path, this.opened(() => Deno.openSync(path, { createNew: true, write: true })));
  }

  /** An existing file, at its beginning. */
  open(path: string): PooledFile {
    return this.#add(path, this.opened(() => Deno.openSync(path, { write: true })));
  }

  /** Opens a file; without a descriptor for it, others give way. */
  opened<T>(open: () => T): T {
    for (;;) {
      try {
        return open();
      } catch (error) {
        if (!isExhausted(error) || !(this.#park() || this.#giveWay())) throw error;
      }
    }
  }

  /** Called when a file was opened, or is used. */
  touch(file: PooledFile): void {
    if (this.#open.delete(file)) return void this.#open.add(file);
    while (this.#open.size >= this.#openMax && this.#park());
    this.#open.add(file);
  }

  forget(file: PooledFile): void {
    this.#open.delete(file);
  }

  #add(path: string, file: Deno.FsFile): PooledFile {
    const pooled = new PooledFile(this, path, file);
    this.touch(pooled);
    return pooled;
  }

  /** Closes a file for the time being. Returns whether there was one. */
  #park(): boolean {
    let looked = 0;
    for (const file of this.#open) {
      if (file.park()) return true;
      if (++looked === LOOKED_AT) return false;
    }
    return false;
  }
}

export class PooledFile implements RawFile {
  readonly #pool: FilePool;
  readonly #path: string;
  #file: Deno.FsFile | undefined;
  #isClosed = false;
  /** Where the next bytes go. */
  #at = 0;
  #flushing = 0;
  /** Counts changes; those up to `#flushed` are on disk. */
  #changes = 0;
  #flushed = 0;
  /** Known while it is parked. */
  #identity: string | undefined;

  constructor(pool: FilePool, path: string, file: Deno.FsFile) {
    this.#pool = pool;
    this.#path = path;
    this.#file = file;
  }

  writeSync(bytes: Uint8Array): number {
    const file = this.#use();
    this.#changes += 1;
    const count = file.writeSync(bytes);
    this.#at += count;
    return count;
  }

  truncateSync(bytes: number): void {
    this.#changes += 1;
    this.#use().truncateSync(bytes);
  }

  seekSync(offset: number, whence: Deno.SeekMode): number {
    return this.#at = this.#use().seekSync(offset, whence);
  }

  async syncData(): Promise<void> {
    const changes = this.#changes;
    const file = this.#use();
    this.#flushing += 1;
    try {
      await file.syncData();
      this.#flushed = Math.max(this.#flushed, changes);
    } finally {
      this.#flushing -= 1;
    }
  }

  syncDataSync(): void {
    this.#use().syncDataSync();
    this.#flushed = this.#changes;
  }

  statSync(): Deno.FileInfo {
    return this.#use().statSync();
  }

  close(): void {
    if (this.#isClosed) throw new Deno.errors.BadResource("The file was closed before");
    this.#isClosed = true;
    this.#pool.forget(this);
    this.#file?.close();
    this.#file = undefined;
  }

  /** Closes the file until it is used again, unless it has unflushed bytes. Returns whether it did. */
  park(): boolean {
    if (!this.#file || this.#flushing > 0 || this.#flushed < this.#changes) return false;
    this.#identity = identityOf(this.#file);
    this.#file.close();
    this.#file = undefined;
    this.#pool.forget(this);
    return true;
  }

  #use(): Deno.FsFile {
    if (this.#isClosed) throw new Deno.errors.BadResource("The file is closed");
    this.#file ??= this.#reopen();
    this.#pool.touch(this);
    return this.#file;
  }

  #reopen(): Deno.FsFile {
    using opened = new DisposableStack();
    const file = opened.use(this.#pool.opened(() => Deno.openSync(this.#path, { write: true })));
    if (identityOf(file) !== this.#identity) throw new Error("The file was changed while it was not in use");
    file.seekSync(this.#at, Deno.SeekMode.Start);
    opened.move();
    return file;
  }
}

function identityOf(file: Deno.FsFile): string {
  const { dev, ino, size } = file.statSync();
  return `${dev} ${ino} ${size}`;
}
