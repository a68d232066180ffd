/**
 * A disk in memory for tests of the store. Any operation can be made to fail, and the power can be cut: then only
 * flushed data is certain to survive. It is as strict as a disk may be: a name is durable once its folder was synced,
 * bytes once their file was; after a failed flush the bytes are lost, even if a later flush succeeds.
 */
import { setImmediate } from "node:timers/promises";
import { releasable } from "../../../src/releasable.ts";
import { AppendFile, type FileReader, type Files } from "../../../src/store/files.ts";
import type { RawFile } from "../../../src/store/file_pool.ts";

/** Errors as Deno words them. */
export const NO_SPACE = "No space left on device (os error 28)";
export const IO_ERROR = "Input/output error (os error 5)";

export type Operation =
  | "create"
  | "resume"
  | "read"
  | "write"
  | "truncate"
  | "flush"
  | "rename"
  | "remove"
  | "sync"
  | "makeFolder"
  | "removeFolder"
  | "moveFolder"
  | "list";

/** Called before every operation; it throws to make it fail. For a write it returns how many bytes are written. */
export type Fault = (operation: Operation, path: string, bytes: number) => number | void;

interface Node {
  bytes: Uint8Array<ArrayBuffer>;
  /** The durable bytes. */
  flushed: Uint8Array<ArrayBuffer>;
  /** Bytes that a failed flush has dropped. No later flush writes them. */
  lost: { readonly from: number; readonly to: number } | undefined;
}

const newNode = (bytes = new Uint8Array(0)): Node => ({ bytes, flushed: bytes, lost: undefined });

function truncate(node: Node, bytes: number): void {
  node.bytes = node.bytes.slice(0, bytes);
  if (node.lost && node.lost.from >= bytes) node.lost = undefined;
}

function flush(node: Node, wanted: Uint8Array<ArrayBuffer>): void {
  node.flushed = wanted;
  if (!node.lost) return;
  node.flushed = wanted.slice();
  node.flushed.fill(0, node.lost.from, node.lost.to);
}

const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);
const folderOf = (path: string) => path.slice(0, path.lastIndexOf("/"));

export class Disk implements Files {
  fault: Fault = () => {};
  /** Awaited before a flush. */
  pause: () => Promise<void> = () => Promise.resolve();
  /** Files open for reading. */
  openReaders = 0;
  /** Operations so far. */
  readonly log: { readonly operation: Operation; readonly path: string; readonly bytes: number }[] = [];
  #names = new Map<string, Node>();
  #durableNames = new Map<string, Node>();
  #isOver = false;

  #do(operation: Operation, path: string, bytes = 0): number {
    if (this.#isOver) throw new Error("The process is dead");
    this.log.push({ operation, path, bytes });
    return this.fault(operation, path, bytes) ?? bytes;
  }

  #node(path: string): Node {
    const node = this.#names.get(path);
    if (!node) throw new Deno.errors.NotFound(`No such file or directory (os error 2): ${path}`);
    return node;
  }

  create(path: string): AppendFile {
    this.#do("create", path);
    if (this.#names.has(path)) throw new Deno.errors.AlreadyExists(`File exists (os error 17): ${path}`);
    const node = newNode();
    this.#names.set(path, node);
    return new AppendFile(this.#open(path, node), 0);
  }

  resume(path: string, bytes: number): AppendFile {
    this.#do("resume", path);
    const node = this.#node(path);
    if (node.bytes.length < bytes) throw new Error(`The file has ${node.bytes.length} bytes`);
    if (node.bytes.length > bytes) {
      truncate(node, bytes);
      flush(node, node.bytes);
    }
    return new AppendFile(this.#open(path, node), bytes);
  }

  #open(path: string, node: Node): RawFile {
    let isOpen = true;
    const assertOpen = () => {
      if (!isOpen) throw new Deno.errors.BadResource(`Bad resource ID: ${path}`);
    };
    let at = node.bytes.length;
    const tryFlush = (wanted: Uint8Array<ArrayBuffer>) => {
      try {
        this.#do("flush", path, wanted.length);
      } catch (error) {
        if (this.#isOver) throw error;
        // The pages count as clean from now on.
        node.lost = { from: node.flushed.length, to: node.bytes.length };
        throw error;
      }
      flush(node, wanted);
    };
    return {
      writeSync: (bytes) => {
        assertOpen();
        const taken = this.#do("write", path, bytes.length);
        const grown = new Uint8Array(Math.max(node.bytes.length, at + taken));
        grown.set(node.bytes);
        grown.set(bytes.subarray(0, taken), at);
        node.bytes = grown;
        at += taken;
        return taken;
      },
      truncateSync: (bytes) => {
        assertOpen();
        this.#do("truncate", path, bytes);
        truncate(node, bytes);
      },
      seekSync: (offset) => at = offset,
      syncData: async () => {
        assertOpen();
        const wanted = node.bytes;
        await this.pause();
        // Bytes written during the flush are not part of it.
        await setImmediate();
        tryFlush(wanted);
      },
      syncDataSync: () => {
        assertOpen();
        tryFlush(node.bytes);
      },
      statSync: () => ({ nlink: [...this.#names.values()].filter((each) => each === node).length }),
      close: () => {
        assertOpen();
        isOpen = false;
      },
    };
  }

  read(path: string): FileReader {
    this.#do("read", path);
    // An open file is readable to its end, even if it was removed.
    const { bytes } = this.#node(path);
    let at = 0;
    const take = (count: number) => bytes.slice(at, at = Math.min(bytes.length, at + count));
    let last: Uint8Array | undefined;
    this.openReaders += 1;
    return {
      bytes: bytes.length,
      next: (count) => {
        // The piece is valid only until now. Overwrite it, so that a later use shows.
        last?.fill(0xee);
        const piece = take(count);
        last = piece;
        return piece;
      },
      nextLater: async (count) => {
        await setImmediate();
        return take(count);
      },
      seek: (to) => at = to,
      ...releasable(() => void (this.openReaders -= 1)),
    };
  }

  // deno-lint-ignore require-await -- as files are
  async rename(from: string, to: string): Promise<void> {
    this.#do("rename", from);
    this.#names.set(to, this.#node(from));
    this.#names.delete(from);
  }

  // deno-lint-ignore require-await -- as files are
  async remove(path: string): Promise<void> {
    this.#do("remove", path);
    this.#node(path);
    this.#names.delete(path);
  }

  async sync(path: string): Promise<void> {
    await setImmediate();
    this.#do("sync", path);
    const node = this.#names.get(path);
    if (node) flush(node, node.bytes);
    for (const name of new Set([...this.#names.keys(), ...this.#durableNames.keys()])) {
      if (folderOf(name) !== path) continue;
      const now = this.#names.get(name);
      if (now) this.#durableNames.set(name, now);
      else this.#durableNames.delete(name);
    }
  }

  // deno-lint-ignore require-await -- as files are
  async makeFolder(path: string): Promise<void> {
    this.#do("makeFolder", path);
  }

  // deno-lint-ignore require-await -- as files are
  async removeFolder(path: string): Promise<void> {
    this.#do("removeFolder", path);
    for (const names of [this.#names, this.#durableNames]) {
      for (const name of names.keys()) if (folderOf(name) === path) names.delete(name);
    }
  }

  // deno-lint-ignore require-await -- as files are
  async moveFolder(from: string, to: string): Promise<void> {
    this.#do("moveFolder", from);
    for (const names of [this.#names, this.#durableNames]) {
      for (const [name, node] of [...names]) {
        if (folderOf(name) !== from) continue;
        names.set(`${to}/${nameOf(name)}`, node);
        names.delete(name);
      }
    }
  }

  list(path: string): string[] {
    this.#do("list", path);
    const inside = [...this.#names.keys()].filter((name) => name.startsWith(`${path}/`));
    return [...new Set(inside.map((name) => name.slice(path.length + 1).replace(/\/.*/, "")))];
  }

  /** All paths. */
  get paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  bytesOf(path: string): Uint8Array<ArrayBuffer> {
    return this.#node(path).bytes;
  }

  /** Adds a file that is durable from the start. */
  put(path: string, bytes: Uint8Array<ArrayBuffer>): void {
    const node = newNode(bytes);
    this.#names.set(path, node);
    this.#durableNames.set(path, node);
  }

  delete(path: string): void {
    this.#names.delete(path);
    this.#durableNames.delete(path);
  }

  /** The disk as another process sees it. */
  copy(): Disk {
    const copy = new Disk();
    for (const [path, { bytes }] of this.#names) copy.put(path, bytes.slice());
    return copy;
  }

  /** The disk after the process was killed: unflushed bytes are there, but not durable. */
  kill(): Disk {
    const after = new Disk();
    after.#names = this.#names;
    after.#durableNames = this.#durableNames;
    this.#isOver = true;
    return after;
  }

  /**
   * The disk after a power failure. `keep` is the part of the unflushed bytes that survives, from 0 (none) to 1
   * (all). With `zeros` the rest of them reads as zeros.
   */
  powerCut({ keep = 0, zeros = false } = {}): Disk {
    const after = new Disk();
    for (const [path, { bytes, flushed }] of this.#durableNames) {
      const unflushed = Math.max(0, bytes.length - flushed.length);
      const end = flushed.length + Math.floor(unflushed * keep);
      const left = new Uint8Array(zeros ? flushed.length + unflushed : end);
      left.set(bytes.subarray(0, end));
      left.set(flushed);
      after.put(path, left);
    }
    return after;
  }
}
