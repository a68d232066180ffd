/** The registry of all runs and optimizers, as the HTTP layer sees it. It is implemented in registry.ts. */
import type { StepwellError } from "../../errors.ts";
import type { Definition } from "../../families/optimizers/member/definition_schema.ts";
import type { OptimizerFamily } from "../../families/optimizers/mod.ts";
import type { Releasable } from "../../releasable.ts";
import type { Checkpoint, Restoration } from "./checkpoints.ts";
import type { RunDescription } from "./run_description.ts";
import type { RunSession } from "./run_session.ts";
import type { RunSpec } from "./run_spec.ts";
import type { KeyUse } from "./steps.ts";

/** Keeps a run in memory while a request uses it. */
export interface Lease extends Releasable {
  /** Resolves when every change so far is on disk. Throws storage_full, storage_failed. */
  durable(): Promise<void>;
}

/** The response to a keyed creation. */
export interface Creation {
  readonly id: string;
  /** The run's description in JSON, as it was sent; null if it was too long to keep. */
  readonly answer: string | null;
}

/** The optimizers that runs can be created with. */
export interface OptimizerRegistry {
  readonly family: OptimizerFamily;
  /** Throws unknown_optimizer. */
  definition(className: string, module?: string): Definition;
  /**
   * Throws invalid_definition, optimizer_exists, too_many_optimizers, out_of_memory, storage_full, storage_failed.
   */
  register(json: unknown): Promise<{ readonly definition: Definition; readonly created: boolean }>;
  /** Throws unknown_optimizer, optimizer_in_use, storage_full, storage_failed. */
  remove(className: string): Promise<void>;
}

/** The runs, in memory or on disk. */
export interface RunRegistry {
  readonly optimizers: OptimizerRegistry;
  /** Throws run_exists, too_many_runs, run_too_large, out_of_memory, and the errors of the spec. */
  create(spec: RunSpec, key?: KeyUse): Promise<RunSession>;
  /** Finds an earlier creation with this key. Throws key_reused if its request was a different one. */
  creation(use: { readonly key: string; readonly hash: string }): Promise<Creation | undefined>;
  /**
   * Returns the run, which is read from disk if necessary, while others are served. Throws unknown_run, run_damaged,
   * out_of_memory, storage_failed.
   */
  open(id: string): Promise<RunSession>;
  /** The run if it is in memory, otherwise undefined. Throws unknown_run. */
  present(id: string): RunSession | undefined;
  has(id: string): boolean;
  /**
   * Checks, in the turn that changes a run, that this session is still the run's. Throws unknown_run, run_replaced,
   * storage_failed.
   */
  confirm(run: RunSession): void;
  /** Keeps a run in memory while a request uses it. There need not be a run with this id. */
  lease(id: string): Lease;
  /**
   * Runs in order of creation, without those that `isListed` leaves out. `cursor` is the `next` of an earlier page.
   * Throws invalid_request for any other cursor.
   */
  list(page: {
    readonly limit: number;
    readonly cursor?: string | undefined;
    readonly isListed?: (id: string) => boolean;
  }): Promise<{
    readonly runs: readonly RunDescription[];
    readonly next?: string | undefined;
  }>;
  /** Throws unknown_run, busy, storage_full, storage_failed. */
  delete(id: string): Promise<void>;
  restore(id: string): Restoration;
  /**
   * The run's present or a later state; no file if `isKnown` returns true for its version. Throws unknown_run,
   * run_damaged, out_of_memory, storage_failed.
   */
  checkpoint(id: string, isKnown: (version: number) => boolean): Promise<Checkpoint>;
  /** Makes room on a full disk by a snapshot in place of a longer journal: whether there was one. */
  makeRoom(): Promise<boolean>;
  /** Why the storage refuses changes, found out anew; undefined when it takes them. */
  storageTrouble(): Promise<StepwellError | undefined>;
  figures(): {
    readonly runs: number;
    readonly runsInMemory: number;
    readonly steps: number;
    readonly divergedSteps: number;
    readonly arenas: number;
    readonly arenaBytes: number;
    readonly runBytes: number;
    readonly stagingBytes: number;
    readonly publishedBytes: number;
  };
}
