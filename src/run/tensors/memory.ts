/**
 * The memory of all runs: arenas, shared by small runs or owned by one large run, under one bound.
 *
 * It is not an allocator (the arena is) and does not own runs. Invariants: the bytes of all arenas and of all
 * published copies stay under `bytesMax`, which is checked before anything grows; an empty arena is kept and used
 * again, because a dropped one takes memory until the garbage collector runs.
 */
import { Arena, ARENA_BYTES_MAX } from "../../../kernels/arena.ts";
import { StepwellError } from "../../errors.ts";
import { type Releasable, releasable } from "../../releasable.ts";

/** Runs up to this size share arenas. */
const SMALL_BYTES_MAX = 1024 ** 2;
/** A shared arena of this size takes no further run, so that staging has room to grow. */
const SHARED_BYTES_MAX = 32 * 1024 ** 2;

/** What must be won at least by a move to a smaller arena. */
const SHRUNK_BYTES_MIN = 4 * 1024 ** 2;
/** Larger runs are not moved: a copy takes about 50 ms for so many bytes. */
const MOVED_BYTES_MAX = 128 * 1024 ** 2;

/** Memory for a copy, outside the runs' memory. */
export interface Spare extends Releasable {
  readonly bytes: number;
  /** Valid until the next allocation. */
  view(at: number, bytes: number): Uint8Array<ArrayBuffer>;
}

export class Memory {
  readonly bytesMax: number;
  readonly #shared: Arena[] = [];
  readonly #owned = new Set<Arena>();
  #idle: Arena[] = [];
  #publishedBytes = 0;
  /** The bodies that are on their way into runs, a few at a time. */
  readonly stagings = new Set<{ readonly bytes: number }>();
  /** Callbacks that release regions which can be freed early, by arena. */
  readonly #borrowers = new WeakMap<Arena, Set<() => void>>();

  readonly #onPressure: () => boolean;

  /** `onPressure` frees memory if it can, and returns whether it did. */
  constructor(options: { bytesMax: number; onPressure?: () => boolean }) {
    this.bytesMax = options.bytesMax;
    this.#onPressure = options.onPressure ?? (() => false);
  }

  get #arenas(): Arena[] {
    return [...this.#shared, ...this.#owned, ...this.#idle];
  }

  get #bytes(): number {
    return this.#arenas.reduce((sum, arena) => sum + arena.bytesReserved, this.#publishedBytes);
  }

  /**
   * Finds an arena for a run of `bytes`, whose rounds may hold `contributionBytes` beside them. Throws run_too_large
   * or out_of_memory.
   */
  place(bytes: number, contributionBytes = 0): Arena {
    const most = Math.min(ARENA_BYTES_MAX, this.bytesMax);
    if (contributionBytes > 0 && bytes + contributionBytes > most) {
      throw new StepwellError(
        "run_too_large",
        `Cannot create a run that holds contributions of ${contributionBytes} bytes beside ${bytes} bytes of variables and ` +
          `slots: together they take ${bytes + contributionBytes} bytes, must be at most ${most}`,
      );
    }
    if (bytes > ARENA_BYTES_MAX / 2) {
      throw new StepwellError(
        "run_too_large",
        `Cannot create a run of ${bytes} bytes: variables and slots take at most ${
          ARENA_BYTES_MAX / 2
        } bytes, ` +
          "so that a gradient of all variables fits beside them",
      );
    }
    if (bytes + contributionBytes > SMALL_BYTES_MAX) return this.#own(bytes);
    for (;;) {
      const roomy = this.#shared.find((arena) => arena.bytesUsed + bytes <= SHARED_BYTES_MAX);
      if (roomy) return roomy;
      // A new arena is made only if a full one fits under the bound, or if no run can leave the others.
      if (this.#bytes + SHARED_BYTES_MAX <= this.bytesMax || !this.#onPressure()) break;
    }
    const arena = new Arena({ bytesMax: ARENA_BYTES_MAX });
    this.#shared.push(arena);
    return arena;
  }

  #own(bytes: number): Arena {
    const fitting = this.#idle.filter((arena) => arena.bytesReserved <= 2 * bytes)
      .sort((a, b) => b.bytesReserved - a.bytesReserved)[0];
    this.#idle = this.#idle.filter((arena) => arena !== fitting);
    const arena = fitting ?? new Arena({ bytesMax: ARENA_BYTES_MAX });
    this.#owned.add(arena);
    return arena;
  }

  /** Calls `giveBack` once, before an allocation in the arena would evict a run or fail. */
  borrow(arena: Arena, giveBack: () => void): Releasable {
    const borrowers = this.#borrowers.get(arena) ?? new Set();
    this.#borrowers.set(arena, borrowers.add(giveBack));
    return releasable(() => void this.#borrowers.get(arena)?.delete(giveBack));
  }

  /** Returns whether any region was released. */
  #takeBack(arena: Arena): boolean {
    const borrowers = this.#borrowers.get(arena);
    if (!borrowers?.size) return false;
    this.#borrowers.delete(arena);
    for (const giveBack of borrowers) giveBack();
    return true;
  }

  /** Allocates in an arena of this memory. Throws out_of_memory before the bound would be broken. */
  allocate(arena: Arena, bytes: number): number {
    try {
      this.#reserve(() => arena.growth(bytes), bytes, () => this.#takeBack(arena) || this.#onPressure());
      return arena.allocate(bytes);
    } catch (error) {
      if (this.#takeBack(arena)) return this.allocate(arena, bytes);
      this.#rest(arena);
      // The arena has reached its maximum, or the machine is out of memory.
      if (error instanceof RangeError) this.#refuse(bytes);
      throw error;
    }
  }

  /** Ensures that memory may grow by `growth()` bytes; drops idle arenas and calls `makeRoom` if necessary. */
  #reserve(growth: () => number, bytes: number, makeRoom = this.#onPressure): void {
    const fits = () => growth() === 0 || this.#bytes + growth() <= this.bytesMax;
    if (fits()) return;
    this.#idle = [];
    while (!fits()) {
      if (!makeRoom()) this.#refuse(bytes);
      this.#idle = [];
    }
  }

  #refuse(bytes: number): never {
    throw new StepwellError(
      "out_of_memory",
      `Cannot allocate ${bytes} more bytes: ${this.#bytes} of at most ${this.bytesMax} bytes are in use`,
    );
  }

  /**
   * Memory for a copy, from an idle arena if one fits; undefined if it would exceed the bound. No run is evicted for
   * it.
   */
  spare(bytes: number): Spare | undefined {
    if (bytes > ARENA_BYTES_MAX) return undefined;
    const arena = this.#own(bytes);
    try {
      if (this.#bytes + arena.growth(bytes) > this.bytesMax) return undefined;
      const offset = arena.allocate(bytes);
      return {
        bytes,
        view: (at, count) => arena.u8(offset + at, count),
        ...releasable(() => this.release(arena, offset)),
      };
    } catch (error) {
      // The machine is out of memory.
      if (error instanceof RangeError) return undefined;
      throw error;
    } finally {
      this.#rest(arena);
    }
  }

  /**
   * An arena for the regions of one that has grown far beyond them, if they are all that it holds. The copy is not
   * counted: the larger arena is given back in the same turn.
   */
  smaller(arena: Arena, used: number): Arena | undefined {
    const isGrown = arena.bytesReserved > 2 * used + SHRUNK_BYTES_MIN;
    if (!isGrown || used > MOVED_BYTES_MAX || arena.bytesUsed !== used || !this.#owned.has(arena)) {
      return undefined;
    }
    const smaller = new Arena({ bytesMax: ARENA_BYTES_MAX });
    this.#owned.add(smaller);
    return smaller;
  }

  /** Gives an empty arena back that is larger than most runs need. */
  drop(arena: Arena): void {
    this.#idle = this.#idle.filter((idle) => idle !== arena);
  }

  /** Releases a region. The arena of a large run is kept for the next run when it is empty. */
  release(arena: Arena, offset: number): void {
    arena.release(offset);
    this.#rest(arena);
  }

  /** Marks a large run's arena as idle if it is empty. */
  #rest(arena: Arena): void {
    if (arena.bytesUsed === 0 && this.#owned.delete(arena)) this.#idle.push(arena);
  }

  /** Counts a published copy until it is released. Throws out_of_memory. */
  publish(bytes: number): Releasable {
    this.#reserve(() => bytes, bytes);
    this.#publishedBytes += bytes;
    return releasable(() => void (this.#publishedBytes -= bytes));
  }

  figures() {
    const arenas = this.#arenas;
    return {
      arenas: arenas.length,
      arenaBytes: arenas.reduce((sum, arena) => sum + arena.bytesReserved, 0),
      usedBytes: arenas.reduce((sum, arena) => sum + arena.bytesUsed, 0),
      stagingBytes: this.stagings.values().reduce((sum, { bytes }) => sum + bytes, 0),
      publishedBytes: this.#publishedBytes,
    };
  }
}
