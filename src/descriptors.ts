/**
 * The file descriptors of the process: how many there are, and a reserve of them for the service's own files.
 *
 * Deno tells nobody its limit (/proc needs all permissions), so it is found by opening files until that fails.
 * Invariant: while the reserve is held, connections cannot take the last descriptors.
 */

/** More are not looked for: opening so many takes about 50 ms. */
const LOOKED_FOR = 4096;
const RESERVE_MAX = 64;
const JOURNALS_MIN = 16;

export class Descriptors {
  readonly #open: () => Disposable;
  #reserve: Disposable[] = [];
  #wanted = 0;
  /** How many the process could open at the start, beyond those that it had; no more than are looked for. */
  #count = 0;

  /** `open` opens any file. It is called again whenever the reserve is built. */
  constructor(open: () => Disposable) {
    this.#open = open;
  }

  /** Journals that may be open at a time. */
  get journalsMax(): number {
    return Math.max(JOURNALS_MIN, Math.floor(this.#count / 4));
  }

  /** Requests that may wait, or stay open, at a time: half of the descriptors, if there are fewer than are looked for. */
  get waitingMax(): number {
    return this.#count < LOOKED_FOR ? Math.floor(this.#count / 2) : Infinity;
  }

  /** Finds the limit and holds the reserve. To be called once. */
  look(): void {
    const found = this.#take(LOOKED_FOR);
    this.#count = found.length;
    this.#wanted = Math.min(RESERVE_MAX, Math.floor(found.length / 8));
    this.#reserve = found.splice(0, this.#wanted);
    dispose(found);
  }

  /** Releases the reserve, for a file that must be opened. Returns whether there was one. */
  giveWay(): boolean {
    const { length } = this.#reserve;
    dispose(this.#reserve.splice(0));
    return length > 0;
  }

  /** Builds the reserve again. Returns false, and takes nothing, while there are too few descriptors. */
  hold(): boolean {
    const missing = this.#wanted - this.#reserve.length;
    const found = this.#take(missing);
    if (found.length === missing) {
      this.#reserve.push(...found);
      return true;
    }
    dispose(found);
    return false;
  }

  #take(count: number): Disposable[] {
    const files: Disposable[] = [];
    try {
      while (files.length < count) files.push(this.#open());
    } catch (error) {
      if (!isExhausted(error)) {
        dispose(files);
        throw error;
      }
    }
    return files;
  }
}

function dispose(files: readonly Disposable[]): void {
  for (const file of files) file[Symbol.dispose]();
}

/** Whether the process, or the machine, has no descriptor left. */
export function isExhausted(error: unknown): boolean {
  return error instanceof Error && /\bos error (23|24)\b|\b(EMFILE|ENFILE)\b/.test(error.message);
}
