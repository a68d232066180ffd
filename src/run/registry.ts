/**
 * The runs by id, in order of creation: those in memory, and those that are on disk until somebody asks for them.
 *
 * Not their behaviour (session.ts) and not their files (store/). Invariants: an id names at most one run; a run that
 * could not be created leaves nothing behind; a session leaves memory only when the disk has all of it.
 */
import type { Runner } from "../../kernels/plan.ts";
import { type ErrorCode, StepwellError } from "../errors.ts";
import { ruleOf } from "../families/optimizers/optimizer.ts";
import { ANSWER_LENGTH_MAX, type CreationRecord, type RunRecord } from "../store/kv.ts";
import { RunStore, type StoreParts } from "../store/run_store.ts";
import { storageError } from "../store/storage_error.ts";
import type {
  Creation,
  KeyUse,
  Lease,
  Restoration,
  RunDescription,
  RunRegistry,
  RunSession,
  RunSpec,
} from "./api.ts";
import { CheckpointReader } from "./checkpoint.ts";
import { Memory } from "./memory.ts";
import { recover } from "./recover.ts";
import { Session } from "./session.ts";
import { firstSnapshot, takeSnapshot } from "./snapshots.ts";
import { initialValues, resolveSpec } from "./spec.ts";
import { RunState } from "./state.ts";

export interface RegistryOptions {
  readonly runsMax: number;
  readonly memoryBytesMax: number;
  /** Performs kernel calls: the compiled kernels, or the interpreter. */
  readonly run: Runner;
  readonly now: () => Date;
  readonly newId: () => string;
  /** A seed for an initializer that has none: an integer from 0, below 2^32. */
  readonly drawSeed: () => number;
  /** Where runs outlive the process; without it none does. */
  readonly store?: StoreParts;
  /** A journal of this many bytes asks for a snapshot. */
  readonly journalBytesMax?: number;
}

/** Keyed creations of runs that are not stored: the newest are remembered. */
const CREATIONS_KEPT = 1000;

/** Refusals for which a list leaves a run out. */
const SKIPPED: ReadonlySet<ErrorCode> = new Set(["run_damaged", "unknown_run"]);

interface Entry {
  readonly id: string;
  /** Rises with every run created: what a page's cursor refers to, whatever is deleted meanwhile. */
  readonly sequence: number;
  readonly store: RunStore | undefined;
  session: Session | undefined;
  /** Requests that are being answered. */
  users: number;
  /** When the last of them was done, in milliseconds since 1970. */
  usedAt: number;
  /** Version that the newest snapshot holds. */
  snapshotVersion: number | undefined;
}

export class Registry implements RunRegistry {
  readonly #options: RegistryOptions;
  readonly #memory: Memory;
  readonly #entries = new Map<string, Entry>();
  /** Ids of runs that are being made, replaced or deleted. */
  readonly #reserved = new Set<string>();
  /** Sessions that were given up because nobody knew what was on disk. */
  readonly #givenUp = new WeakSet<RunSession>();
  /** What keyed creations of runs got that are not stored. */
  readonly #creations = new Map<string, CreationRecord>();
  #sequence = 0;
  #stepsOfClosed = 0;

  constructor(options: RegistryOptions, records: readonly RunRecord[] = []) {
    this.#options = options;
    this.#memory = new Memory({ bytesMax: options.memoryBytesMax, onPressure: () => this.#evictOldest() });
    for (const record of records) {
      this.#entries.set(record.id, this.#entry(record.id, record.sequence, this.#storeOf(record)));
      this.#sequence = Math.max(this.#sequence, record.sequence + 1);
    }
  }

  /** The registry of the runs that the store has. */
  static async open(options: RegistryOptions & { readonly store: StoreParts }): Promise<Registry> {
    return new Registry(options, await options.store.configs.runs());
  }

  #storeOf(record: RunRecord): RunStore | undefined {
    return this.#options.store && new RunStore(this.#options.store, record);
  }

  #entry(id: string, sequence: number, store: RunStore | undefined): Entry {
    const usedAt = this.#options.now().getTime();
    return { id, sequence, store, session: undefined, users: 0, usedAt, snapshotVersion: undefined };
  }

  async create(spec: RunSpec, key?: KeyUse): Promise<Session> {
    const id = spec.id ?? this.#options.newId();
    this.#reserve(id);
    try {
      const resolved = resolveSpec(spec);
      const { run, drawSeed } = this.#options;
      // First: a run that does not fit is refused before anything of its size is made.
      const state = new RunState(this.#memory, resolved, ruleOf(resolved.optimizer));
      try {
        for (const [index, variable] of spec.variables.entries()) {
          const values = await initialValues(variable, `variables.${index}.initial`, drawSeed);
          state.values(state.variable(variable.name)).set(values);
        }
        const createdAt = this.#options.now().toISOString();
        const session = new Session({
          id,
          spec: resolved,
          state,
          memory: this.#memory,
          run,
          createdAt,
          version: 0,
        });
        return await this.#keep(session, { sequence: this.#sequence++, key });
      } catch (error) {
        state.free();
        throw error;
      }
    } finally {
      this.#reserved.delete(id);
    }
  }

  /** Makes a session that is whole one of the runs, on disk first. */
  async #keep(
    session: Session,
    { sequence, key }: { sequence: number; key?: KeyUse | undefined },
  ): Promise<Session> {
    const { id, createdAt, durability } = session;
    const { store: parts, newId } = this.#options;
    const store = parts && durability !== "none"
      ? new RunStore(parts, { id, incarnation: newId(), sequence, createdAt, snapshots: [], configParts: 0 })
      : undefined;
    const entry = this.#entry(id, sequence, store);
    entry.snapshotVersion = store && session.version;
    // First: the creation's answer, which is kept, tells of the storage.
    this.#attach(entry, session);
    const creation = key && (() => creationOf(session, key));
    if (store) await store.create(firstSnapshot(session), creation);
    else if (creation) this.#remember(creation());
    this.#entries.set(id, entry);
    return session;
  }

  #remember(creation: CreationRecord): void {
    this.#creations.set(creation.key, creation);
    const [oldest] = this.#creations.keys();
    if (this.#creations.size > CREATIONS_KEPT) this.#creations.delete(oldest as string);
  }

  async creation({ key, hash }: { key: string; hash: string }): Promise<Creation | undefined> {
    const found = this.#creations.get(key) ?? await this.#options.store?.configs.creation(key);
    if (!found) return undefined;
    if (found.hash === hash) return found;
    throw new StepwellError(
      "key_reused",
      `Cannot create a run: the Idempotency-Key ${JSON.stringify(key)} was used for another request`,
    );
  }

  #attach(entry: Entry, session: Session): void {
    entry.session = session;
    const { store } = entry;
    if (store && session.durability === "journal") session.attach(store);
    session.describeStorage = () => ({
      journal_bytes: store?.journalBytes ?? 0,
      snapshot_version: entry.snapshotVersion ?? null,
    });
  }

  /** Holds the id and a place while a run is being made. */
  #reserve(id: string): void {
    if (this.has(id) || this.#reserved.has(id)) {
      throw new StepwellError("run_exists", `Cannot create the run "${id}": a run with this id exists`);
    }
    const { runsMax } = this.#options;
    if (this.#entries.size + this.#reserved.size >= runsMax) {
      throw new StepwellError(
        "too_many_runs",
        `Cannot create the run "${id}": ${runsMax} runs are open, the most allowed`,
      );
    }
    this.#reserved.add(id);
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  #find(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry) return entry;
    throw new StepwellError("unknown_run", `Cannot find the run "${id}": no run has this id`);
  }

  get(id: string): Session {
    const entry = this.#find(id);
    if (entry.store?.failed && entry.session?.durability === "journal") {
      this.#givenUp.add(entry.session);
      this.#forget(entry);
    }
    if (!entry.session && entry.store) {
      const { store } = entry;
      const { session, snapshotVersion } = recover({ store, memory: this.#memory, run: this.#options.run });
      // Steps that were made again are no new ones.
      this.#stepsOfClosed -= session.stepCount;
      this.#attach(entry, session);
      entry.snapshotVersion = snapshotVersion;
    }
    return entry.session as Session;
  }

  confirm(run: RunSession): void {
    const { id } = run;
    if (this.#entries.get(id)?.session === run) return;
    if (this.#givenUp.has(run)) {
      throw new StepwellError("storage_failed", `Cannot change the run "${id}": it was read anew from disk`);
    }
    throw new StepwellError(
      "unknown_run",
      `Cannot change the run "${id}": it was deleted, and created anew, meanwhile`,
    );
  }

  /** A request is about this run: it stays in memory until `release`. An id that no run has is fine. */
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
      release: () => {
        if (!entry) return;
        entry.users -= 1;
        entry.usedAt = this.#options.now().getTime();
      },
    };
  }

  async list({ limit, cursor }: { limit: number; cursor?: string | undefined }) {
    if (cursor !== undefined && !/^\d{1,15}$/.test(cursor)) {
      const message = `is ${JSON.stringify(cursor)}, must be the next_cursor of an earlier page`;
      throw new StepwellError("invalid_request", `Cannot list runs: cursor ${message}`, [{
        path: "cursor",
        message,
      }]);
    }
    const after = Number(cursor ?? -1);
    // Runs that were made at the same time may have been finished in another order.
    const rest = [...this.#entries.values()].filter(({ sequence }) => sequence > after)
      .sort((a, b) => a.sequence - b.sequence);
    const page = rest.slice(0, limit);
    const runs: RunDescription[] = [];
    // One after the other: they need not fit into memory together.
    for (const { id } of page) {
      const description = await this.#describe(id);
      if (description) runs.push(description);
    }
    return {
      runs,
      next: rest.length > limit ? String(page.at(-1)?.sequence) : undefined,
    };
  }

  /**
   * A run that is not in memory is described by its config in KV, unless it has changed since that was written.
   * Undefined for a damaged run, which must not keep the others from being listed, and for one that is gone meanwhile.
   */
  async #describe(id: string): Promise<RunDescription | undefined> {
    const entry = this.#entries.get(id);
    if (!entry) return undefined;
    const config = entry.session ? undefined : await entry.store?.config();
    if (config !== undefined && !entry.session) {
      const description = JSON.parse(config) as RunDescription;
      return { ...description, journal_bytes: 0, snapshot_version: description.version };
    }
    const lease = this.lease(id);
    try {
      const description = this.get(id).describe();
      await lease.durable();
      return description;
    } catch (error) {
      if (error instanceof StepwellError && SKIPPED.has(error.code)) return undefined;
      throw error;
    } finally {
      lease.release();
    }
  }

  async delete(id: string): Promise<void> {
    const entry = this.#find(id);
    const free = entry.session?.hold();
    this.#reserved.add(id);
    this.#entries.delete(id);
    try {
      await entry.store?.remove();
      this.#closeSession(entry);
    } catch (error) {
      this.#entries.set(id, entry);
      throw error;
    } finally {
      free?.();
      this.#reserved.delete(id);
    }
  }

  /** Takes a session out of memory. */
  #closeSession(entry: Entry): void {
    if (!entry.session) return;
    this.#stepsOfClosed += entry.session.stepCount;
    entry.session.close();
    entry.session = undefined;
  }

  /** Forgets what memory says of a run: the files say it. */
  #forget(entry: Entry): void {
    this.#closeSession(entry);
    entry.store?.close();
  }

  restore(id: string): Restoration {
    let reader: CheckpointReader | undefined;
    return {
      begin: (metadata) => reader = new CheckpointReader(this.#memory, metadata),
      commit: async () => {
        if (!reader) throw new Error("Nothing has been read yet");
        reader.finish();
        const old = this.#entries.get(id);
        if (!old) this.#reserve(id);
        let free: (() => void) | undefined;
        try {
          const current = old && this.get(id);
          // What was acknowledged from here on would be lost: it would change what is about to be replaced.
          free = current?.hold();
          const session = new Session({
            id,
            spec: reader.spec,
            state: reader.state,
            memory: this.#memory,
            run: this.#options.run,
            createdAt: current?.createdAt ?? this.#options.now().toISOString(),
            // A version never comes back with other content, so that ETags stay true.
            version: Math.max(reader.version, current?.version ?? 0) + 1,
            // A retry of a request from before is still one.
            ...current && { replies: current.replies },
          });
          await this.#keep(session, { sequence: old?.sequence ?? this.#sequence++ });
          reader = undefined;
          // Others may change the run while the old files are removed.
          const description = session.describe();
          if (old) {
            this.#closeSession(old);
            // A run that is not stored leaves no record of the one in whose place it is.
            if (this.#entries.get(id)?.store) await old.store?.discard();
            else await old.store?.remove();
          }
          return { session, description, created: !old };
        } finally {
          free?.();
          this.#reserved.delete(id);
        }
      },
      release: () => {
        reader?.state.free();
        reader = undefined;
      },
    };
  }

  /**
   * What has to be done now and then: snapshots of runs whose journals are long or that have no journal, and room for
   * others in place of runs that nobody has used for `idleMs`. Resolves when all snapshots are written.
   */
  async sweep({ idleMs }: { readonly idleMs: number }): Promise<void> {
    const now = this.#options.now().getTime();
    const snapshots: Promise<void>[] = [];
    for (const entry of this.#entries.values()) {
      if (!entry.session || !entry.store) continue;
      const idle = entry.users === 0 && now - entry.usedAt >= idleMs;
      const long = entry.store.journalBytes > (this.#options.journalBytesMax ?? Infinity);
      if (this.#isDirty(entry) && (long || idle || entry.session.durability === "snapshot")) {
        snapshots.push(this.#snapshot(entry).then(() => void (idle && this.#evict(entry))));
      } else if (idle) this.#evict(entry);
    }
    await Promise.allSettled(snapshots);
  }

  /** Brings everything into snapshots: what a start then reads is short. */
  async shutdown(): Promise<void> {
    for (const entry of this.#entries.values()) {
      if (this.#isDirty(entry)) await this.#snapshot(entry).catch(() => {});
      await entry.store?.durable().catch(() => {});
      this.#forget(entry);
    }
  }

  #isDirty({ session, snapshotVersion }: Entry): boolean {
    return session !== undefined && session.version !== snapshotVersion;
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
    const saved = session.durability === "journal" ? store.isFlushed : !this.#isDirty(entry);
    if (saved) this.#forget(entry);
    return saved;
  }

  /** Makes room by one run: the one that was used longest ago. Whether there was one. */
  #evictOldest(): boolean {
    const oldestFirst = [...this.#entries.values()].filter(({ session }) => session)
      .sort((a, b) => a.usedAt - b.usedAt);
    return oldestFirst.some((entry) => this.#evict(entry));
  }

  figures() {
    const sessions = [...this.#entries.values()].flatMap(({ session }) => session ?? []);
    const { arenas, arenaBytes, publishedBytes } = this.#memory.figures();
    return {
      runs: this.#entries.size,
      runsInMemory: sessions.length,
      steps: sessions.reduce((sum, { stepCount }) => sum + stepCount, this.#stepsOfClosed),
      arenas,
      arenaBytes,
      runBytes: sessions.reduce((sum, { bytes }) => sum + bytes.state, 0),
      stagingBytes: sessions.reduce((sum, { bytes }) => sum + bytes.staging, 0),
      publishedBytes,
    };
  }
}

function creationOf(session: Session, { key, hash }: KeyUse): CreationRecord {
  const answer = JSON.stringify(session.describe());
  return { key, hash, id: session.id, answer: answer.length > ANSWER_LENGTH_MAX ? null : answer };
}
