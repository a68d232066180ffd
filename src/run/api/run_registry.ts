/** All runs and optimizers, as the HTTP layer sees them. Not an implementation (registry.ts). */
import type { Definition } from "../../families/optimizers/definition_schema.ts";
import type { OptimizerFamily } from "../../families/optimizers/mod.ts";
import type { Releasable } from "../../releasable.ts";
import type { Checkpoint, Restoration } from "./checkpoints.ts";
import type { RunDescription } from "./run_description.ts";
import type { RunSession } from "./run_session.ts";
import type { RunSpec } from "./run_spec.ts";
import type { KeyUse } from "./steps.ts";

/** A run that is in use. */
export interface Lease extends Releasable {
  /** Resolves when every change so far is on disk. Throws storage_full, storage_failed. */
  durable(): Promise<void>;
}

/** What a keyed creation got. */
export interface Creation {
  readonly id: string;
  /** The run's description in JSON, as it was answered; null where it was too long to keep. */
  readonly answer: string | null;
}

/** The optimizers that runs can be made with. */
export interface OptimizerRegistry {
  readonly family: OptimizerFamily;
  /** Throws unknown_optimizer. */
  definition(className: string): Definition;
  /** Throws invalid_definition, optimizer_exists, too_many_optimizers, out_of_memory, storage_full, storage_failed. */
  register(json: unknown): Promise<{ readonly definition: Definition; readonly created: boolean }>;
  /** Throws unknown_optimizer, optimizer_in_use, storage_full, storage_failed. */
  remove(className: string): Promise<void>;
}

/** The runs, in memory or on disk. */
export interface RunRegistry {
  readonly optimizers: OptimizerRegistry;
  /** Throws run_exists, too_many_runs, run_too_large, out_of_memory and whatever the spec deserves. */
  create(spec: RunSpec, key?: KeyUse): Promise<RunSession>;
  /** What a keyed creation got before. Throws key_reused when it was another one. */
  creation(use: { readonly key: string; readonly hash: string }): Promise<Creation | undefined>;
  /** Reads the run from disk if need be. Throws unknown_run, run_damaged, out_of_memory. */
  get(id: string): RunSession;
  has(id: string): boolean;
  /** To be asked in the turn that changes a run. Throws unknown_run, run_replaced, storage_failed when it is not the one any more. */
  confirm(run: RunSession): void;
  /** Keeps a run in memory while a request is about it; no matter whether there is one. */
  lease(id: string): Lease;
  /** Runs in order of creation; `cursor` is a `next` of an earlier page. Throws invalid_request for another one. */
  list(page: { readonly limit: number; readonly cursor?: string | undefined }): Promise<{
    readonly runs: readonly RunDescription[];
    readonly next?: string | undefined;
  }>;
  /** Throws unknown_run, busy, storage_full, storage_failed. */
  delete(id: string): Promise<void>;
  restore(id: string): Restoration;
  /**
   * The run as it is now, or later; no file when `isKnown` says that the version is not wanted. Throws unknown_run,
   * run_damaged, out_of_memory, storage_failed.
   */
  checkpoint(id: string, isKnown: (version: number) => boolean): Promise<Checkpoint>;
  figures(): {
    readonly runs: number;
    readonly runsInMemory: number;
    readonly steps: number;
    readonly arenas: number;
    readonly arenaBytes: number;
    readonly runBytes: number;
    readonly stagingBytes: number;
    readonly publishedBytes: number;
  };
}
