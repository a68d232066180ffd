/**
 * The registry of all runs, as the HTTP layer sees it: it wires up the parts that find, create, restore, list and
 * evict runs.
 *
 * It does not define a run's behaviour (session.ts) or its files (store/).
 */
import type { Runner } from "../../../kernels/compiler/runner.ts";
import type { StepwellError } from "../../errors.ts";
import type { OptimizerRecord, RunRecord } from "../../store/kv.ts";
import type { Notice } from "../../store/notice.ts";
import { OptimizerFiles } from "../../store/optimizer_files.ts";
import { reconcile } from "../../store/reconcile.ts";
import type { Room } from "../../store/room.ts";
import { RunStore, type StoreParts } from "../../store/run_store.ts";
import type { Checkpoint, Restoration } from "../api/checkpoints.ts";
import type { Creation, Lease, RunRegistry } from "../api/run_registry.ts";
import type { RunSession } from "../api/run_session.ts";
import type { RunSpec } from "../api/run_spec.ts";
import type { KeyUse } from "../api/steps.ts";
import { Downloads } from "./downloads.ts";
import { Creator } from "./creator.ts";
import { Deadlines, type Schedule } from "./deadlines.ts";
import { RunTable } from "./run_table.ts";
import { type BackgroundFailure, Evictor } from "./evictor.ts";
import { listRuns, type Page } from "./listing.ts";
import { Memory } from "../tensors/memory.ts";
import { Optimizers } from "./optimizers.ts";
import { Restorer } from "./restorer.ts";
import type { Session } from "../session/session.ts";

export interface RegistryOptions {
  readonly runsMax: number;
  readonly memoryBytesMax: number;
  /** The longest step of a run; absent: any. */
  readonly stepSecondsMax?: number;
  /** Performs kernel calls: the compiled kernels, or the interpreter. */
  readonly runner: Runner;
  readonly now: () => Date;
  /** The timer that ends rounds at their deadlines; without it, only contributions end rounds. */
  readonly schedule?: Schedule;
  readonly newId: () => string;
  /** Draws a seed for an initializer that has none: an integer >= 0 and < 2^32. */
  readonly drawSeed: () => number;
  /** Stores runs beyond the life of the process; without it, runs are in memory only. */
  readonly store?: StoreParts;
  /** A run gets a snapshot when its journal is longer than this. */
  readonly journalBytesMax?: number;
  /** Called when work fails that no request waits for. */
  readonly onFailure?: (failure: BackgroundFailure) => void;
  /** Told of what the start found and mended. */
  readonly onNotice?: (notice: Notice) => void;
}

/** The records found in the store. */
interface Records {
  readonly runs?: readonly RunRecord[];
  readonly optimizers?: readonly OptimizerRecord[];
  readonly optimizerFiles?: OptimizerFiles;
}

export class Registry implements RunRegistry {
  readonly #memory: Memory;
  readonly #room: Room | undefined;
  readonly #table: RunTable;
  readonly #creator: Creator;
  readonly #restorer: Restorer;
  readonly #evictor: Evictor;
  readonly #downloads: Downloads;
  readonly optimizers: Optimizers;

  constructor(
    options: RegistryOptions,
    { runs = [], optimizers: registered = [], optimizerFiles }: Records = {},
  ) {
    const { runner, now, newId, drawSeed, store, schedule } = options;
    const { journalBytesMax = Infinity, stepSecondsMax = Infinity, onFailure = () => {} } = options;
    const memory = new Memory({
      bytesMax: options.memoryBytesMax,
      onPressure: () => this.#evictor.evictOldest(),
    });
    const deadlines = schedule && new Deadlines({ now, schedule, onFailure });
    const optimizers: Optimizers = new Optimizers({
      memory,
      store: optimizerFiles,
      usersOf: (className) => this.#table.usersOf(className),
      onNotice: options.onNotice,
    }, registered);
    const table = new RunTable({
      memory,
      optimizers,
      runner,
      now,
      runsMax: options.runsMax,
      stepSecondsMax,
      deadlines,
    });
    for (const record of runs) {
      table.set(table.make(record.id, record.sequence, store && new RunStore(store, record)));
    }
    this.#memory = memory;
    this.#room = store?.room;
    this.#table = table;
    this.optimizers = optimizers;
    this.#creator = new Creator({ table, optimizers, memory, runner, now, newId, drawSeed, store });
    this.#restorer = new Restorer({ table, optimizers, creator: this.#creator, memory, runner, now });
    this.#evictor = new Evictor({ table, memory, now, journalBytesMax, room: store?.room, onFailure });
    this.#downloads = new Downloads({ table, evictor: this.#evictor, onFailure });
  }

  /** Opens a registry with the runs and optimizers found in the store. */
  static async open(options: RegistryOptions & { readonly store: StoreParts }): Promise<Registry> {
    const { store, now, onNotice = () => {} } = options;
    const runs = await reconcile(store, { notify: onNotice, now: now().getTime() });
    const optimizerFiles = new OptimizerFiles(store);
    return new Registry(options, { runs, optimizers: await optimizerFiles.open(onNotice), optimizerFiles });
  }

  create(spec: RunSpec, key?: KeyUse): Promise<Session> {
    return this.#creator.create(spec, key);
  }

  creation(use: { key: string; hash: string }): Promise<Creation | undefined> {
    return this.#creator.creation(use);
  }

  has(id: string): boolean {
    return this.#table.has(id);
  }

  open(id: string): Promise<Session> {
    return this.#table.open(id);
  }

  present(id: string): Session | undefined {
    return this.#table.present(id);
  }

  /** As `open`, but everybody waits. For programs that serve nobody else. */
  get(id: string): Session {
    return this.#table.get(id);
  }

  confirm(run: RunSession): void {
    this.#table.confirm(run);
  }

  lease(id: string): Lease {
    return this.#table.lease(id);
  }

  list(page: Page) {
    return listRuns(this.#table, page);
  }

  delete(id: string): Promise<void> {
    return this.#table.delete(id);
  }

  restore(id: string): Restoration {
    return this.#restorer.restore(id);
  }

  checkpoint(id: string, isKnown: (version: number) => boolean = () => false): Promise<Checkpoint> {
    return this.#downloads.open(id, isKnown);
  }

  sweep(options: { readonly idleMs: number }): Promise<void> {
    return this.#evictor.sweep(options);
  }

  shutdown(): Promise<void> {
    return this.#evictor.shutdown();
  }

  makeRoom(): Promise<boolean> {
    return this.#evictor.shortenJournals();
  }

  async storageTrouble(): Promise<StepwellError | undefined> {
    return await this.#room?.trouble();
  }

  figures() {
    const { steps, divergedSteps, runsInMemory, runBytes } = this.#table.tally;
    const { arenas, arenaBytes, stagingBytes, publishedBytes } = this.#memory.figures();
    return {
      runs: this.#table.size,
      runsInMemory,
      steps,
      divergedSteps,
      arenas,
      arenaBytes,
      runBytes,
      stagingBytes,
      publishedBytes,
    };
  }
}
