/**
 * The table of runs by id, in memory or only on disk, with their users.
 *
 * It does not create runs (creator.ts) or evict them (evictor.ts). Invariants: an id names at most one run; when a
 * run leaves memory, the disk has its state.
 */
import type { Runner } from "../../../kernels/compiler/runner.ts";
import { StepwellError } from "../../errors.ts";
import { type Releasable, releasable } from "../../releasable.ts";
import type { RunStore } from "../../store/run_store.ts";
import { storageError } from "../../store/storage_error.ts";
import type { Lease } from "../api/run_registry.ts";
import type { RunSession } from "../api/run_session.ts";
import type { Deadlines } from "./deadlines.ts";
import { endedError, type Ending } from "../session/ending.ts";
import type { Memory } from "../tensors/memory.ts";
import type { Optimizers } from "./optimizers.ts";
import { atOnce } from "../../slices.ts";
import { ReservedIds } from "./reserved_ids.ts";
import { Readings } from "./readings.ts";
import { recovering } from "./recover.ts";
import type { Session } from "../session/session.ts";
import { newEntry, optimizerOf, type RunEntry } from "./run_entry.ts";
import { Tally } from "./tally.ts";

interface RunTableParts {
  readonly memory: Memory;
  readonly optimizers: Optimizers;
  readonly runner: Runner;
  readonly runsMax: number;
  /** The longest step of a run. */
  readonly stepSecondsMax: number;
  readonly now: () => Date;
  /** Without them, only contributions end rounds. */
  readonly deadlines?: Deadlines | undefined;
}

export class RunTable {
  readonly #parts: RunTableParts;
  readonly #entries = new Map<string, RunEntry>();
  readonly #reserved: ReservedIds;
  readonly #endings = new WeakMap<RunSession, Ending>();
  readonly #readings = new Readings<RunEntry>();
  /** The counted runs, the one first whose latest use is longest ago. A clock that is set back does not change the order. */
  readonly #byUse = new Set<RunEntry>();
  #sequence = 0;
  readonly tally = new Tally();

  constructor(parts: RunTableParts) {
    this.#parts = parts;
    this.#reserved = new ReservedIds(parts.runsMax);
  }

  get stepSecondsMax(): number {
    return this.#parts.stepSecondsMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  all(): RunEntry[] {
    return [...this.#entries.values()];
  }

  /**
   * The runs in memory, the least recently used first. The iterator remains valid whatever happens to runs: it passes
   * each that is still in memory when its place comes.
   */
  byUse(): IterableIterator<RunEntry> {
    return this.#byUse.values();
  }

  /** Ids of the runs that use the registered optimizer of this name, in memory or on disk. */
  usersOf(className: string): string[] {
    return this.all().filter((entry) => optimizerOf(entry) === className).map(({ id }) => id);
  }

  /** Returns the next run's number in the order of creation. */
  takeSequence(): number {
    return this.#sequence++;
  }

  /** Makes an entry, which is not in the table yet. */
  make(id: string, sequence: number, store: RunStore | undefined): RunEntry {
    return newEntry({ id, sequence, store, usedAt: this.#parts.now().getTime() });
  }

  /** Puts the entry into the table: from now on the id names its run. */
  set(entry: RunEntry): void {
    this.#enter(entry);
    this.#sequence = Math.max(this.#sequence, entry.sequence + 1);
  }

  #enter(entry: RunEntry): void {
    const before = this.#entries.get(entry.id);
    if (before) this.#uncount(before);
    this.#entries.set(entry.id, entry);
    this.#count(entry);
  }

  #count(entry: RunEntry): void {
    this.tally.count(entry);
    if (entry.session) this.#byUse.add(entry);
  }

  #uncount(entry: RunEntry): void {
    this.tally.forget(entry);
    this.#byUse.delete(entry);
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  at(id: string): RunEntry | undefined {
    return this.#entries.get(id);
  }

  /** Throws unknown_run. */
  find(id: string): RunEntry {
    const entry = this.#entries.get(id);
    if (entry) return entry;
    throw new StepwellError("unknown_run", `Cannot find the run "${id}": no run has this id`);
  }

  /** Reserves the id and a place in the table while a run is created. Throws run_exists, too_many_runs. */
  reserve(id: string): Releasable {
    return this.#reserved.take(id, { isTaken: this.has(id), taken: this.#entries.size });
  }

  /** The run's session if it is in memory. Throws unknown_run. */
  present(id: string): Session | undefined {
    return this.#present(this.find(id));
  }

  #present(entry: RunEntry): Session | undefined {
    // After a failure it is unknown which changes are on disk.
    if (entry.store?.failed && entry.session?.durability === "journal") this.forget(entry);
    return entry.session;
  }

  /**
   * The run's session, which is read from disk if necessary: in slices between which others run, and once for all who
   * ask meanwhile. Throws unknown_run, run_damaged, out_of_memory, storage_failed.
   */
  async open(id: string): Promise<Session> {
    for (;;) {
      const entry = this.find(id), session = this.#present(entry);
      if (session) return session;
      const store = entry.store as RunStore;
      await this.#readings.read(entry, {
        quiet: store.snapshotting,
        begin: () => this.#recovering(store),
        onEnd: (session) => this.attach(entry, session),
      });
    }
  }

  /** As `open`, but everybody waits. For programs that serve nobody else. */
  get(id: string): Session {
    const entry = this.find(id), session = this.#present(entry);
    if (session) return session;
    this.#readings.giveUp(entry);
    this.attach(entry, atOnce(this.#recovering(entry.store as RunStore)));
    return entry.session as unknown as Session;
  }

  #recovering(store: RunStore): Generator<number, Session> {
    const { memory, optimizers, runner, now } = this.#parts;
    return recovering({ store, memory, optimizers, runner, now: () => now().getTime() });
  }

  confirm(run: RunSession): void {
    const { id } = run;
    if (this.#entries.get(id)?.session === run) return;
    throw endedError(id, this.#endings.get(run) ?? "deleted");
  }

  /** Keeps a run in memory until the lease is released. There need not be a run with this id. */
  lease(id: string): Lease {
    const entry = this.#entries.get(id);
    if (entry) entry.users += 1;
    const failures = entry?.store?.failures;
    return {
      durable: async () => {
        // The run may have been created, replaced or deleted by this very request.
        const current = this.#entries.get(id);
        if (!current?.session || current.session.durability !== "journal") return;
        if (current === entry && entry.store?.failures !== failures) {
          throw storageError(new Error("A flush failed meanwhile"));
        }
        await current.store?.durable();
      },
      ...releasable(() => {
        if (!entry) return;
        entry.users -= 1;
        const now = this.#parts.now().getTime();
        // Uses within a millisecond count as one.
        if (now !== entry.usedAt && this.#byUse.delete(entry)) this.#byUse.add(entry);
        entry.usedAt = now;
      }),
    };
  }

  /** Connects a session with the files of its run. */
  attach(entry: RunEntry, session: Session): void {
    entry.session = session;
    entry.openings += 1;
    // A run that is being created is counted when it is in the table.
    const count = () => this.#entries.get(entry.id) === entry && this.#count(entry);
    count();
    if (entry.frozen) entry.frozen.session = session.freeze();
    const { store } = entry, { deadlines } = this.#parts;
    session.attach({
      stepSecondsMax: this.stepSecondsMax,
      log: store && session.durability === "journal" ? store : { changing: () => store?.changing() },
      describeStorage: () => ({
        journal_bytes: store?.journalBytes ?? 0,
        snapshot_version: store?.newest?.version ?? null,
      }),
      resized: () => void count(),
      stepped: (isDiverged) => this.tally.stepped(isDiverged),
      deadlineChanged: (at) => deadlines?.set(entry, session, at),
      becameQuiet: () => {
        const { whenQuiet } = entry;
        entry.whenQuiet = undefined;
        whenQuiet?.();
      },
    });
    // The round's deadline may have passed while the run was not in memory.
    deadlines?.endDueRound(entry, session);
  }

  /**
   * Refuses changes of a run, in memory or not, until the result is released. Throws busy if it is frozen already.
   */
  freeze(entry: RunEntry): Releasable {
    if (entry.frozen) {
      throw new StepwellError("busy", `Cannot change the run "${entry.id}": it is being replaced`);
    }
    const frozen = entry.frozen = { session: entry.session?.freeze() };
    return releasable(() => {
      entry.frozen = undefined;
      frozen.session?.release();
    });
  }

  /** Does a work in pieces, during which the run may leave memory although the caller's request has a lease on it. */
  *whileEvictable<T>(id: string, work: Generator<number, T>): Generator<number, T> {
    const entry = this.#entries.get(id);
    if (!entry) return yield* work;
    entry.users -= 1;
    try {
      return yield* work;
    } finally {
      entry.users += 1;
    }
  }

  /** Takes a session out of memory, or keeps it from coming there. */
  closeSession(entry: RunEntry, ending: Ending): void {
    this.#readings.giveUp(entry);
    if (!entry.session) return;
    this.#endings.set(entry.session, ending);
    entry.store?.leaving();
    entry.session.close(ending);
    entry.session = undefined;
    entry.whenQuiet = undefined;
    this.#uncount(entry);
  }

  /** Drops the session and closes the files; the next use reads the run from them. */
  forget(entry: RunEntry): void {
    this.closeSession(entry, "reread");
    entry.store?.close();
  }

  /** Deletes a run. Throws unknown_run, busy, storage_full, storage_failed; then the run is as before. */
  async delete(id: string): Promise<void> {
    const entry = this.find(id);
    using _frozen = this.freeze(entry);
    const optimizer = optimizerOf(entry);
    // If the deletion fails, the run must still be readable, so its optimizer is kept meanwhile.
    using _optimizer = optimizer === undefined ? undefined : this.#parts.optimizers.retain(optimizer);
    using _id = this.#reserved.hold(id);
    this.#entries.delete(id);
    this.#readings.giveUp(entry);
    this.#uncount(entry);
    try {
      await entry.store?.remove();
      this.closeSession(entry, "deleted");
    } catch (error) {
      this.#enter(entry);
      throw error;
    }
  }
}
