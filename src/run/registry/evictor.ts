/**
 * Decides which runs get a snapshot and which leave memory: at intervals, under memory pressure, and at shutdown.
 *
 * Invariant: a session leaves memory only when the disk has its whole state.
 */
import { StepwellError } from "../../errors.ts";
import { nextTurn, Slices } from "../../slices.ts";
import type { Room } from "../../store/room.ts";
import type { RunEntry } from "./run_entry.ts";
import type { RunTable } from "./run_table.ts";
import type { Memory, Spare } from "../tensors/memory.ts";
import type { Session } from "../session/session.ts";
import { type PreparedSnapshot, prepareSnapshot } from "../checkpoint/prepared_snapshot.ts";
import { takeSnapshot, warm } from "../checkpoint/snapshot_source.ts";

/** Snapshots that are written concurrently. */
const AT_A_TIME = 8;
/** What a small run's snapshot and leave from memory take of a turn, in nanoseconds. */
const RUN_UNITS = 200_000;
/** Bytes by which a journal must exceed its snapshot to be replaced by it: for less, it would soon be needed again. */
const GAIN_BYTES_MIN = 4 * 1024 ** 2;
/** Smaller runs are not copied: writing one takes no longer than copying it. */
const COPY_BYTES_MIN = 4 * 1024 ** 2;

interface EvictorParts {
  readonly table: RunTable;
  readonly memory: Memory;
  readonly now: () => Date;
  /** A run gets a snapshot when its journal is longer than this. */
  readonly journalBytesMax: number;
  /** Of the disk; absent without one. */
  readonly room: Room | undefined;
  readonly onFailure: (failure: BackgroundFailure) => void;
}

/** A failure of work on a run that no request waits for. Everything acknowledged is as safe as before. */
export interface BackgroundFailure {
  readonly run: string;
  readonly error: unknown;
}

export class Evictor {
  readonly #parts: EvictorParts;
  readonly #saving = new Map<RunEntry, Promise<void>>();
  #shortening: Promise<boolean> | undefined;
  /** Where the search for a run to evict goes on in this turn. */
  #candidates: IterableIterator<RunEntry> | undefined;

  constructor(parts: EvictorParts) {
    this.#parts = parts;
  }

  /**
   * Periodic work: writes snapshots of runs that have a long journal or none, and takes runs out of memory that
   * nobody has used for `idleMs`. Resolves when all snapshots are written.
   */
  async sweep({ idleMs }: { readonly idleMs: number }): Promise<void> {
    const idleSince = this.#parts.now().getTime() - idleMs;
    const tend = async (entry: RunEntry) => {
      const { session, store } = entry;
      const idle = entry.users === 0 && entry.usedAt <= idleSince;
      if (idle) shrink(entry);
      if (!session || !store) return;
      const long = store.journalBytes > this.#parts.journalBytesMax;
      const wanted = long || idle || session.durability === "snapshot";
      if (wanted && isDirty(entry)) await this.#snapshotWhenQuiet(entry, session, { idle });
      if (idle) this.#evict(entry);
    };
    await this.#all(tend);
  }

  /** Writes snapshots of all changed runs, so that the next start has little to replay. */
  async shutdown(): Promise<void> {
    await this.#all(async (entry) => {
      try {
        if (isDirty(entry) && canSnapshot(entry)) await this.#snapshot(entry);
      } finally {
        await entry.store?.durable();
      }
    });
    for (const entry of this.#parts.table.all()) this.#parts.table.forget(entry);
  }

  /**
   * Acts on a few runs at a time, since each opens files, and on some tens of them per turn. A run that fails does not
   * stop the others.
   */
  async #all(act: (entry: RunEntry) => Promise<void>): Promise<void> {
    const entries = this.#parts.table.all().values(), slices = new Slices();
    let pause: Promise<void> | undefined;
    const work = async () => {
      for (const entry of entries) {
        if (slices.isOver(RUN_UNITS)) pause = nextTurn();
        // Nobody goes on while one waits, or a turn would have a slice of each.
        await pause;
        await this.#safely(entry, () => act(entry));
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
  }

  async #safely(entry: RunEntry, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      // The run may have been deleted or replaced meanwhile; then the failure does not matter.
      const isGone = this.#parts.table.at(entry.id) !== entry ||
        error instanceof StepwellError && error.code === "unknown_run";
      if (!isGone) this.#parts.onFailure({ run: entry.id, error });
    }
  }

  /**
   * Ensures that the disk has a snapshot of the run's present or a later state, unless an open round prevents it.
   * Throws storage_full, storage_failed.
   */
  async save(entry: RunEntry): Promise<void> {
    const { session, store } = entry;
    if (!session || !store) return;
    const wanted = session.sequence;
    while ((store.newest?.sequence ?? -1) < wanted && canSnapshot(entry)) {
      // A snapshot that another caller began may already contain the wanted state.
      await (store.snapshotting ?? this.#saved(entry));
    }
  }

  /** Callers share a snapshot that is being prepared. */
  #saved(entry: RunEntry): Promise<void> {
    const running = this.#saving.get(entry) ??
      this.#snapshot(entry).finally(() => this.#saving.delete(entry));
    this.#saving.set(entry, running);
    return running;
  }

  /**
   * Takes the least recently used run that can leave out of memory, or what it does not need. Returns false if none can.
   *
   * Room for a large run may need thousands of evictions in one turn. So a turn looks at each run once, and not again
   * at those that cannot leave.
   */
  evictOldest(): boolean {
    if (this.#evictNext()) return true;
    // A run that could not leave earlier in this turn may be able to now.
    this.#candidates = undefined;
    return this.#evictNext();
  }

  #evictNext(): boolean {
    if (!this.#candidates) {
      this.#candidates = this.#parts.table.byUse();
      queueMicrotask(() => this.#candidates = undefined);
    }
    for (;;) {
      const { value, done } = this.#candidates.next();
      if (done) return false;
      if (this.#evict(value) || shrink(value)) return true;
    }
  }

  /**
   * Makes room on a full disk: a snapshot replaces a journal that is longer than the snapshot, the longest journal first.
   * Returns whether there was one.
   */
  shortenJournals(): Promise<boolean> {
    return this.#shortening ??= this.#shorten().finally(() => this.#shortening = undefined);
  }

  async #shorten(): Promise<boolean> {
    const { room } = this.#parts;
    const gain = ({ session, store }: RunEntry) =>
      session && store ? store.journalBytes - session.bytes.state - GAIN_BYTES_MIN : 0;
    const candidates = this.#parts.table.all().filter((entry) => gain(entry) > 0 && canSnapshot(entry))
      .sort((a, b) => gain(b) - gain(a));
    for (const entry of candidates) {
      try {
        await room?.withReserve(() => this.#snapshot(entry, { isTight: true }));
      } catch {
        // The snapshot of another run may fit.
        continue;
      }
      await room?.restore();
      return true;
    }
    return false;
  }

  /** If the open round has contributions, the snapshot is begun when the round ends, in the same turn. */
  async #snapshotWhenQuiet(entry: RunEntry, session: Session, { idle }: { idle: boolean }): Promise<void> {
    if (canSnapshot(entry)) return await (idle ? this.#snapshot(entry) : this.#snapshotInUse(entry));
    // An earlier sweep has seen to it.
    if (entry.whenQuiet) return;
    await entry.store?.prepareSnapshot();
    const prepared = await prepareSnapshot(session);
    // The run may have left memory meanwhile.
    if (entry.session !== session) return;
    entry.whenQuiet = () => void this.#safely(entry, () => this.#snapshot(entry, { atOnce: true, prepared }));
  }

  /** The run is likely to change while the snapshot is written, so this reserves memory for a copy if it can. */
  async #snapshotInUse(entry: RunEntry): Promise<void> {
    const bytes = entry.session?.bytes.state ?? 0;
    using spare = bytes < COPY_BYTES_MIN ? undefined : this.#parts.memory.spare(bytes);
    if (spare) await warm(spare);
    await this.#snapshot(entry, { spare });
  }

  async #snapshot(
    entry: RunEntry,
    { atOnce = false, isTight = false, spare, ...more }: {
      atOnce?: boolean;
      isTight?: boolean;
      spare?: Spare | undefined;
      prepared?: PreparedSnapshot | undefined;
    } = {},
  ): Promise<void> {
    const { session, store } = entry;
    if (!session || !store) return;
    // A run with "snapshot" durability has its state in memory, so a failed journal is closed and a new one begun.
    if (store.failed && session.durability === "snapshot") store.close();
    const prepared = atOnce ? more.prepared : await prepareSnapshot(session);
    // The run may have left memory meanwhile.
    if (entry.session !== session) return;
    await store.snapshot(
      (owner) => canSnapshot(entry) ? takeSnapshot(session, { owner, spare, prepared }) : undefined,
      {
        atOnce,
        isTight,
      },
    );
  }

  /** Takes an unused run out of memory if the disk has its whole state. */
  #evict(entry: RunEntry): boolean {
    const { session, store, users } = entry;
    if (!session || !store || users > 0 || session.isReceiving || store.snapshotting) return false;
    // Only a session in memory can end a round at its deadline.
    if (session.deadline !== null) return false;
    const saved = session.durability === "journal" ? store.isFlushed : !isDirty(entry) && session.isQuiet;
    if (saved) this.#parts.table.forget(entry);
    return saved;
  }
}

/** Gives back what an unused run needed for its requests only, whatever its durability. */
function shrink({ session, store, users }: RunEntry): boolean {
  return users === 0 && !store?.snapshotting && session !== undefined && session.shrink();
}

function isDirty({ session, store }: RunEntry): boolean {
  return session !== undefined && session.sequence !== store?.newest?.sequence;
}

/** A snapshot would end the journal that holds an open round's contributions; no other file holds them. */
function canSnapshot({ session }: RunEntry): boolean {
  return session !== undefined && (session.durability !== "journal" || session.isQuiet);
}
