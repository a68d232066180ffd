/**
 * The runs by id: those in memory, and those that stay on disk until somebody asks for them. Also who uses them, and
 * which ids are reserved.
 *
 * Makes no run and evicts none (creator.ts, evictor.ts). Invariants: an id names at most one run; what a run was
 * before it left memory is what the disk has.
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
import { recover } from "./recover.ts";
import type { Session } from "../session/session.ts";

export interface RunEntry {
  readonly id: string;
  /** Rises with every run created: what a page's cursor refers to, whatever is deleted meanwhile. */
  readonly sequence: number;
  readonly store: RunStore | undefined;
  session: Session | undefined;
  /** Requests that are being answered. */
  users: number;
  /** When the last of them was done, in milliseconds since 1970. */
  usedAt: number;
  /** How often it came into memory: an unchanged number and no session mean that nobody has changed it. */
  openings: number;
  /** There while changes are refused, with what refuses them in the session, if there is one. */
  frozen: { session: Releasable | undefined } | undefined;
  /** To be done, once, in the turn in which the open round of the session has no contribution any more. */
  whenQuiet: (() => void) | undefined;
}

interface RunTableParts {
  readonly memory: Memory;
  readonly optimizers: Optimizers;
  readonly runner: Runner;
  readonly runsMax: number;
  readonly now: () => Date;
  /** Without them, rounds end by their contributions only. */
  readonly deadlines?: Deadlines | undefined;
}

export class RunTable {
  readonly #parts: RunTableParts;
  readonly #entries = new Map<string, RunEntry>();
  /** Ids of runs that are being made, replaced or deleted. */
  readonly #reserved = new Set<string>();
  readonly #endings = new WeakMap<RunSession, Ending>();
  #sequence = 0;
  #stepsOfClosed = 0;

  constructor(parts: RunTableParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Steps of sessions that are out of memory. */
  get stepsOfClosed(): number {
    return this.#stepsOfClosed;
  }

  all(): RunEntry[] {
    return [...this.#entries.values()];
  }

  /** Ids of the runs that have the registered optimizer of this name, in memory or on disk. */
  usersOf(className: string): string[] {
    return this.all().filter((entry) => optimizerOf(entry) === className).map(({ id }) => id);
  }

  /** The place of the next run in the order of creation. */
  takeSequence(): number {
    return this.#sequence++;
  }

  /** An entry that nobody can find yet. */
  make(id: string, sequence: number, store: RunStore | undefined): RunEntry {
    const usedAt = this.#parts.now().getTime();
    return {
      id,
      sequence,
      store,
      session: undefined,
      users: 0,
      usedAt,
      openings: 0,
      frozen: undefined,
      whenQuiet: undefined,
    };
  }

  /** From now on the id names the run of this entry. */
  set(entry: RunEntry): void {
    this.#entries.set(entry.id, entry);
    this.#sequence = Math.max(this.#sequence, entry.sequence + 1);
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

  /** Keeps the id and a place while a run is being made. Throws run_exists, too_many_runs. */
  reserve(id: string): Releasable {
    if (this.has(id) || this.#reserved.has(id)) {
      throw new StepwellError("run_exists", `Cannot create the run "${id}": a run with this id exists`);
    }
    const { runsMax } = this.#parts;
    if (this.#entries.size + this.#reserved.size >= runsMax) {
      throw new StepwellError(
        "too_many_runs",
        `Cannot create the run "${id}": ${runsMax} runs are open, the most allowed`,
      );
    }
    return this.#reserve(id);
  }

  #reserve(id: string): Releasable {
    this.#reserved.add(id);
    return releasable(() => void this.#reserved.delete(id));
  }

  /** The run in memory, read from disk if need be. Throws unknown_run, run_damaged, out_of_memory. */
  get(id: string): Session {
    const entry = this.find(id);
    // Nobody knows what is on disk.
    if (entry.store?.failed && entry.session?.durability === "journal") this.forget(entry);
    if (!entry.session && entry.store) {
      const { memory, optimizers, runner, now } = this.#parts;
      const session = recover({ store: entry.store, memory, optimizers, runner, now: () => now().getTime() });
      // Steps that were made again are no new ones.
      this.#stepsOfClosed -= session.stepCount;
      this.attach(entry, session);
    }
    return entry.session as Session;
  }

  confirm(run: RunSession): void {
    const { id } = run;
    if (this.#entries.get(id)?.session === run) return;
    throw endedError(id, this.#endings.get(run) ?? "deleted");
  }

  /** A request is about this run: it stays in memory until the lease is released. An id that no run has is fine. */
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
          throw storageError(new Error("A flush has failed meanwhile"));
        }
        await current.store?.durable();
      },
      ...releasable(() => {
        if (!entry) return;
        entry.users -= 1;
        entry.usedAt = this.#parts.now().getTime();
      }),
    };
  }

  /** Brings a session and the files of its run together. */
  attach(entry: RunEntry, session: Session): void {
    entry.session = session;
    entry.openings += 1;
    if (entry.frozen) entry.frozen.session = session.freeze();
    const { store } = entry, { deadlines } = this.#parts;
    session.attach({
      log: store && session.durability === "journal" ? store : { changing: () => store?.changing() },
      describeStorage: () => ({
        journal_bytes: store?.journalBytes ?? 0,
        snapshot_version: store?.newest?.version ?? null,
      }),
      deadlineChanged: (at) => deadlines?.set(entry, session, at),
      becameQuiet: () => {
        const { whenQuiet } = entry;
        entry.whenQuiet = undefined;
        whenQuiet?.();
      },
    });
    // Its deadline may have passed while it was out of memory.
    deadlines?.endDueRound(entry, session);
  }

  /** Refuses changes of a run, in memory or not, until it is released. Throws busy when they are refused already. */
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

  /** Does something during which the run may leave memory, although a request is about it that waits for this. */
  whileEvictable<T>(id: string, act: () => T): T {
    const entry = this.#entries.get(id);
    if (!entry) return act();
    entry.users -= 1;
    try {
      return act();
    } finally {
      entry.users += 1;
    }
  }

  /** Takes a session out of memory. */
  closeSession(entry: RunEntry, ending: Ending): void {
    if (!entry.session) return;
    this.#endings.set(entry.session, ending);
    this.#stepsOfClosed += entry.session.stepCount;
    entry.store?.leaving();
    entry.session.close(ending);
    entry.session = undefined;
    entry.whenQuiet = undefined;
  }

  /** Forgets what memory says of a run: the files say it. */
  forget(entry: RunEntry): void {
    this.closeSession(entry, "reread");
    entry.store?.close();
  }

  /** Removes a run for good. Throws unknown_run, busy, storage_full, storage_failed, and leaves it as it was then. */
  async delete(id: string): Promise<void> {
    const entry = this.find(id);
    using _frozen = this.freeze(entry);
    const optimizer = optimizerOf(entry);
    // Should it not be removed, it is to be a run that can be read.
    using _optimizer = optimizer === undefined ? undefined : this.#parts.optimizers.retain(optimizer);
    using _id = this.#reserve(id);
    this.#entries.delete(id);
    try {
      await entry.store?.remove();
      this.closeSession(entry, "deleted");
    } catch (error) {
      this.#entries.set(id, entry);
      throw error;
    }
  }
}

/** The class_name of a run's optimizer, where that is one that was registered. */
function optimizerOf({ session, store }: RunEntry): string | undefined {
  return session ? session.optimizerMember.definition?.class_name : store?.record.optimizer;
}
