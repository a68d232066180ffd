/**
 * Which runs are brought into snapshots and which leave memory: at intervals, under pressure, and at the end.
 *
 * Invariant: a session leaves memory only when the disk has all of it.
 */
import { StepwellError } from "../../errors.ts";
import type { RunEntry, RunTable } from "./run_table.ts";
import type { Memory, Spare } from "../tensors/memory.ts";
import type { Session } from "../session/session.ts";
import { takeSnapshot, warm } from "../checkpoint/snapshot_source.ts";

/** Snapshots that are written at a time. */
const AT_A_TIME = 8;
/** Smaller runs are written in the time that a copy would take. */
const COPY_BYTES_MIN = 4 * 1024 ** 2;

interface EvictorParts {
  readonly table: RunTable;
  readonly memory: Memory;
  readonly now: () => Date;
  /** A journal of this many bytes asks for a snapshot. */
  readonly journalBytesMax: number;
  readonly onFailure: (failure: BackgroundFailure) => void;
}

/** What went wrong with a run while nobody waited for it. Everything that was acknowledged is as safe as before. */
export interface BackgroundFailure {
  readonly run: string;
  readonly error: unknown;
}

export class Evictor {
  readonly #parts: EvictorParts;

  constructor(parts: EvictorParts) {
    this.#parts = parts;
  }

  /**
   * What has to be done now and then: snapshots of runs whose journals are long or that have no journal, and room for
   * others in place of runs that nobody has used for `idleMs`. Resolves when all snapshots are written.
   */
  async sweep({ idleMs }: { readonly idleMs: number }): Promise<void> {
    const idleSince = this.#parts.now().getTime() - idleMs;
    const tend = async (entry: RunEntry) => {
      const { session, store } = entry;
      if (!session || !store) return;
      const idle = entry.users === 0 && entry.usedAt <= idleSince;
      const long = store.journalBytes > this.#parts.journalBytesMax;
      const wanted = long || idle || session.durability === "snapshot";
      if (wanted && isDirty(entry)) await this.#snapshotWhenQuiet(entry, session, { idle });
      if (idle) this.#evict(entry);
    };
    await this.#all(tend);
  }

  /** Brings everything into snapshots: what a start then reads is short. */
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

  /** Acts on some runs at a time, since each opens files. A run that fails does not stop the others. */
  async #all(act: (entry: RunEntry) => Promise<void>): Promise<void> {
    const entries = this.#parts.table.all().values();
    const work = async () => {
      for (const entry of entries) await this.#safely(entry, () => act(entry));
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
  }

  async #safely(entry: RunEntry, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      // Of a run that is gone meanwhile nothing is wanted any more.
      const isGone = this.#parts.table.at(entry.id) !== entry ||
        error instanceof StepwellError && error.code === "unknown_run";
      if (!isGone) this.#parts.onFailure({ run: entry.id, error });
    }
  }

  /**
   * Sees to it that the disk has a snapshot of the run as it is now, or later, unless its open round is in the way.
   * Throws storage_full, storage_failed.
   */
  async save(entry: RunEntry): Promise<void> {
    const { session, store } = entry;
    if (!session || !store) return;
    const wanted = session.sequence;
    while ((store.newest?.sequence ?? -1) < wanted && canSnapshot(entry)) {
      // One that was begun by others may hold it.
      await (store.snapshotting ?? this.#snapshot(entry));
    }
  }

  /** Makes room by one run: the one that was used longest ago. Whether there was one. */
  evictOldest(): boolean {
    const oldestFirst = this.#parts.table.all().filter(({ session }) => session)
      .sort((a, b) => a.usedAt - b.usedAt);
    return oldestFirst.some((entry) => this.#evict(entry));
  }

  /** A run whose open round has contributions has its snapshot when that round ends, in the same turn. */
  async #snapshotWhenQuiet(entry: RunEntry, session: Session, { idle }: { idle: boolean }): Promise<void> {
    if (canSnapshot(entry)) return await (idle ? this.#snapshot(entry) : this.#snapshotInUse(entry));
    await entry.store?.prepareSnapshot();
    // The run may have left memory meanwhile.
    if (entry.session !== session) return;
    entry.whenQuiet = () => void this.#safely(entry, () => this.#snapshot(entry, { atOnce: true }));
  }

  /** Of a run that is likely to change meanwhile: with memory for a copy, if there is some. */
  async #snapshotInUse(entry: RunEntry): Promise<void> {
    const bytes = entry.session?.bytes.state ?? 0;
    using spare = bytes < COPY_BYTES_MIN ? undefined : this.#parts.memory.spare(bytes);
    if (spare) await warm(spare);
    await this.#snapshot(entry, { spare });
  }

  async #snapshot(
    entry: RunEntry,
    { atOnce = false, spare }: { atOnce?: boolean; spare?: Spare | undefined } = {},
  ): Promise<void> {
    const { session, store } = entry;
    if (!session || !store) return;
    // What could not be flushed is given up, but not by a run that lives in memory between its snapshots.
    if (store.failed && session.durability === "snapshot") store.close();
    await store.snapshot(() => canSnapshot(entry) ? takeSnapshot(session, spare) : undefined, { atOnce });
  }

  /** Takes an unused run out of memory if the disk has all of it. */
  #evict(entry: RunEntry): boolean {
    const { session, store, users } = entry;
    if (!session || !store || users > 0 || session.isReceiving || store.snapshotting) return false;
    // A deadline passes in memory only.
    if (session.deadline !== null) return false;
    const saved = session.durability === "journal" ? store.isFlushed : !isDirty(entry) && session.isQuiet;
    if (saved) this.#parts.table.forget(entry);
    return saved;
  }
}

function isDirty({ session, store }: RunEntry): boolean {
  return session !== undefined && session.sequence !== store?.newest?.sequence;
}

/** Contributions to an open round stand in the journal, which a snapshot would end; without one they are in memory only. */
function canSnapshot({ session }: RunEntry): boolean {
  return session !== undefined && (session.durability !== "journal" || session.isQuiet);
}
