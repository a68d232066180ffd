/**
 * Which runs are brought into snapshots and which leave memory: at intervals, under pressure, and at the end.
 *
 * Invariant: a session leaves memory only when the disk has all of it.
 */
import type { Entries, Entry } from "./entries.ts";
import { takeSnapshot } from "./snapshots.ts";

interface EvictorParts {
  readonly entries: Entries;
  readonly now: () => Date;
  /** A journal of this many bytes asks for a snapshot. */
  readonly journalBytesMax: number;
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
    const now = this.#parts.now().getTime();
    const snapshots: Promise<void>[] = [];
    for (const entry of this.#parts.entries.all()) {
      if (!entry.session || !entry.store) continue;
      const idle = entry.users === 0 && now - entry.usedAt >= idleMs;
      const long = entry.store.journalBytes > this.#parts.journalBytesMax;
      if (isDirty(entry) && (long || idle || entry.session.durability === "snapshot")) {
        snapshots.push(this.#snapshot(entry).then(() => void (idle && this.#evict(entry))));
      } else if (idle) this.#evict(entry);
    }
    await Promise.allSettled(snapshots);
  }

  /** Brings everything into snapshots: what a start then reads is short. */
  async shutdown(): Promise<void> {
    const { entries } = this.#parts;
    for (const entry of entries.all()) {
      if (isDirty(entry)) await this.#snapshot(entry).catch(() => {});
      await entry.store?.durable().catch(() => {});
      entries.forget(entry);
    }
  }

  /** Makes room by one run: the one that was used longest ago. Whether there was one. */
  evictOldest(): boolean {
    const oldestFirst = this.#parts.entries.all().filter(({ session }) => session)
      .sort((a, b) => a.usedAt - b.usedAt);
    return oldestFirst.some((entry) => this.#evict(entry));
  }

  async #snapshot(entry: Entry): Promise<void> {
    const { session, store } = entry;
    if (!session || !store) return;
    // What could not be flushed is given up, but not by a run that lives in memory between its snapshots.
    if (store.failed && session.durability === "snapshot") store.close();
    // The copy needs memory, which must not be made by evicting this very run.
    entry.users += 1;
    try {
      entry.snapshotVersion = await store.snapshot(() => takeSnapshot(session));
    } finally {
      entry.users -= 1;
    }
  }

  /** Takes an unused run out of memory if the disk has all of it. */
  #evict(entry: Entry): boolean {
    const { session, store, users } = entry;
    if (!session || !store || users > 0 || session.isReceiving || store.isSnapshotting) return false;
    const saved = session.durability === "journal" ? store.isFlushed : !isDirty(entry);
    if (saved) this.#parts.entries.forget(entry);
    return saved;
  }
}

function isDirty({ session, snapshotVersion }: Entry): boolean {
  return session !== undefined && session.version !== snapshotVersion;
}
