/**
 * What the HTTP layer asks of runs: the types of what goes in and what comes out, and the two interfaces that it
 * calls. Not an implementation.
 *
 * Invariant: every method that changes state is synchronous (the turn), validates everything before its first
 * write, and throws a `StepwellError` without having changed anything.
 */
import type { Definition } from "../families/optimizers/definition_schema.ts";
import type { OptimizerFamily } from "../families/optimizers/mod.ts";
import type { Releasable } from "../releasable.ts";
import type { NamedTensor, Shape, TensorTarget } from "../tensor.ts";

/** A family member as a caller writes it: a bare class name, or `{class_name, config?, module?, registered_name?}`. */
export type MemberSpec = unknown;

export interface VariableSpec {
  readonly name: string;
  readonly shape: Shape;
  /** Nested numbers, one number, a base64 tensor or an initializer; absent: zeros. */
  readonly initial?: unknown;
  readonly constraint?: MemberSpec;
  /** "average": not optimized, the weighted mean of the clients' values (batch-norm statistics). */
  readonly role?: VariableRole | undefined;
}

export type VariableRole = "optimize" | "average";

/** What a contribution's tensors are: gradients, new − old weights of the client, or its new weights. */
export type Payload = "gradient" | "delta" | "weights";

/** Seconds that a round's deadline may be away: 23 days. */
export const DEADLINE_SECONDS_MAX = 2_000_000;
export const NOISE_SEED_MAX = 2 ** 32 - 1;

/** Gaussian noise on the sum of the contributions, before any division. */
export interface Noise {
  readonly stddev: number;
  /** An integer in 0..NOISE_SEED_MAX. */
  readonly seed: number;
}

/** Which contributions become one step, and what is done to each before. */
export interface AggregationSpec {
  readonly mode: "immediate" | "round" | "buffer";
  /** Of mode round: contributions of distinct clients that close it. */
  readonly quorum?: number | undefined;
  /** Of mode round: those that suffice at the deadline; absent: the quorum. */
  readonly minimum?: number | undefined;
  /** Of mode round: from its first contribution on; absent: none. */
  readonly deadline_seconds?: number | null | undefined;
  /** Of mode buffer: contributions that make a step. */
  readonly buffer_size?: number | undefined;
  readonly aggregator?: MemberSpec;
  readonly payload?: Payload | undefined;
  /** The largest staleness that is taken; null: any. Absent: 0 in mode round, else any. */
  readonly max_staleness?: number | null | undefined;
  readonly staleness_weighting?: MemberSpec;
  /** Bound on the L2 norm of each contribution, over all variables; null or absent: none. */
  readonly client_clipnorm?: number | null | undefined;
  readonly noise?: Noise | null | undefined;
}

export interface RunSpec {
  /** Made up when absent. */
  readonly id?: string | undefined;
  readonly optimizer: MemberSpec;
  readonly variables: readonly VariableSpec[];
  readonly aggregation?: AggregationSpec | undefined;
  readonly gradient_transformers?: readonly MemberSpec[] | undefined;
  readonly non_finite?: "reject" | "skip" | "propagate" | undefined;
  readonly durability?: "journal" | "snapshot" | "none" | undefined;
}

/** A family member as the service writes it. */
export interface Member {
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** The aggregation with every default filled in; what another mode has is not there. */
export interface AggregationDescription {
  readonly mode: "immediate" | "round" | "buffer";
  readonly quorum?: number;
  readonly minimum?: number;
  readonly deadline_seconds?: number | null;
  readonly buffer_size?: number;
  readonly aggregator: Member;
  readonly payload: Payload;
  readonly max_staleness: number | null;
  readonly staleness_weighting: Member;
  readonly client_clipnorm: number | null;
  readonly noise: Noise | null;
}

export interface RunDescription {
  readonly id: string;
  readonly iterations: number;
  readonly version: number;
  /** RFC 3339, UTC. */
  readonly created_at: string;
  readonly optimizer: Member;
  readonly variables: readonly {
    readonly name: string;
    readonly shape: Shape;
    readonly dtype: "float32";
    readonly constraint: Member | null;
    readonly role: VariableRole;
  }[];
  readonly slots: readonly string[];
  /** Elements of all variables. */
  readonly parameters: number;
  /** Variables and slots in memory. */
  readonly bytes: number;
  readonly aggregation: AggregationDescription;
  /** Of the open round, from 0; null in mode immediate. */
  readonly round: number | null;
  readonly gradient_transformers: readonly Member[];
  readonly non_finite: "reject" | "skip" | "propagate";
  readonly durability: "journal" | "snapshot" | "none";
  /** Bytes that recovery would replay; 0 without a journal. */
  readonly journal_bytes: number;
  /** The version that the newest snapshot holds; null without one. */
  readonly snapshot_version: number | null;
  readonly warnings: readonly string[];
}

/** Tensors that no later step changes; to be released when the last byte was read. */
export interface Publication extends Releasable {
  readonly iterations: number;
  readonly version: number;
  readonly tensors: readonly NamedTensor[];
}

/** Where a body's tensors wait until they are applied. */
export interface Staging extends TensorTarget, Releasable {}

/** A number as JSON can say it: where it is not finite, "NaN", "Infinity" or "-Infinity". */
export type Loss = number | string;

export interface StepOptions {
  /** false: the caller has aggregated already, apply now. */
  readonly aggregate: boolean;
  readonly dryRun: boolean;
  readonly baseIteration?: number | undefined;
  readonly clientId?: string | undefined;
  readonly weight?: number | undefined;
  readonly hyperparameters?: Readonly<Record<string, unknown>> | undefined;
  /** The loss that the gradients are of: told with the step, never used. */
  readonly loss?: Loss | undefined;
  /** Of a keyed request: its answer is kept under the key. */
  readonly key?: KeyUse | undefined;
}

/** What a contribution got that did not (or not yet) become a step. */
export interface ContributionAnswer {
  readonly applied: false;
  /** Whether the open round holds it: false for a dry run and for one that `non_finite` skipped. */
  readonly accepted: boolean;
  readonly round: number;
  readonly iterations: number;
  readonly version: number;
  /** In the round by now, and how many are missing until it closes. */
  readonly contributions: number;
  readonly missing: number;
  /** RFC 3339, UTC; null without one. */
  readonly deadline: string | null;
  readonly staleness: number;
  readonly weight: number;
  /** L2 norm of the pseudo-gradient before `client_clipnorm`. */
  readonly gradient_norm: number;
  /** By which `client_clipnorm` (or the aggregator's bound) scales it. */
  readonly clip_factor: number;
  readonly variables: Readonly<Record<string, { readonly gradient_norm: number }>>;
  readonly warnings: readonly string[];
  /** As it was told. */
  readonly loss?: Loss;
}

/** What became of a round. */
export type RoundOutcome =
  | { readonly kind: "applied"; readonly answer: StepAnswer }
  /** At its deadline it had too few contributions, or something else changed the run's iterations. */
  | { readonly kind: "dropped"; readonly reason: string };

/** The round that is open. */
export interface RoundDescription {
  readonly round: number;
  readonly mode: "immediate" | "round" | "buffer";
  readonly iterations: number;
  readonly version: number;
  readonly accepted: number;
  readonly missing: number;
  readonly deadline: string | null;
  /** In the order in which they were accepted. */
  readonly contributions: readonly {
    readonly client_id: string | null;
    readonly weight: number;
    readonly staleness: number;
    readonly gradient_norm: number;
    readonly accepted_at: string;
  }[];
}

/** Something that happened to a run. */
export interface RunEvent {
  /** Rises; opaque to clients. */
  readonly id: string;
  readonly type:
    | "round_opened"
    | "contribution_accepted"
    | "contribution_withdrawn"
    | "round_dropped"
    | "step_applied"
    | "run_changed";
  readonly data: Readonly<Record<string, unknown>>;
}

/** The latest events of a run. */
export interface RunEvents {
  /** Whether the session has ended: the run was deleted, replaced, or is to be read again from disk. */
  readonly closed: boolean;
  /** The id of the newest event, or where events begin. */
  readonly last: string;
  /** Events after this id; `missed` when some before them are no longer kept. */
  since(id: string): { readonly events: readonly RunEvent[]; readonly missed: boolean };
  /** Resolves when there is a new event, or the session has ended. */
  changed(): Promise<void>;
}

/** What keyed requests were answered. */
export interface KeyedAnswers {
  /** Marks a key as being worked on until it is released. Throws key_in_progress. */
  acquireKey(key: string): Releasable;
  /** The answer that a key got, or undefined for a new key. Throws key_reused when the request was another one. */
  find(use: { readonly key: string; readonly hash: string }): StepAnswer | ContributionAnswer | undefined;
}

/** What a keyed request was. */
export interface KeyUse {
  readonly key: string;
  /** Of everything that the request says. */
  readonly hash: string;
  /** Milliseconds since 1970: journaled, so that a replay forgets the same keys. */
  readonly at: number;
}

/** What a step did, or (`applied: false`) would have done. */
export interface StepAnswer {
  readonly applied: boolean;
  readonly iterations: number;
  readonly version: number;
  readonly learning_rate: number;
  readonly gradient_norm: number;
  readonly clip_factor: number;
  readonly contributions: number;
  readonly variables: Readonly<Record<string, { readonly gradient_norm: number }>>;
  readonly warnings: readonly string[];
  /** The round that became this step; absent in mode immediate. */
  readonly round?: number;
  /** The mean of the contributions' losses, by their weights; absent unless each has told one. */
  readonly loss?: Loss;
}

/** One open run. Readers get copies that no later turn changes. */
export interface RunSession {
  readonly id: string;
  readonly iterations: number;
  readonly version: number;
  /** When it makes a step. */
  readonly mode: AggregationDescription["mode"];
  describe(): RunDescription;
  /** The largest decoded body that this run can accept, in bytes. */
  bodyBytesMax(format: "json" | "safetensors"): number;

  /** All variables of this version, sharing one copy between readers; throws unknown_variable for `names`. */
  publish(names?: readonly string[]): Publication;
  /**
   * The rows `indices` of a variable, in that order; throws unknown_variable, index_out_of_range, shape_mismatch for
   * a scalar, and invalid_request before anything is allocated when the rows have more than `bytesMax` bytes.
   */
  gather(name: string, indices: readonly number[], options: { readonly bytesMax: number }): NamedTensor;
  slotNames(): readonly string[];
  /** One tensor per variable that has the slot; throws unknown_slot. */
  readSlot(slot: string): readonly NamedTensor[];
  /** `get_weights`: `iterations` is null while Keras would not have created it; scalar state is among the tensors. */
  weights(): { readonly iterations: number | null; readonly tensors: readonly NamedTensor[] };
  optimizer(): Member;
  /** The latest applied steps, newest first. */
  steps(limit: number): readonly StepAnswer[];
  /** The answers to keyed requests. */
  readonly replies: KeyedAnswers;
  stage(kind: "gradients" | "values"): Staging;
  /** A step, or (mode round or buffer) a contribution to one: those have `accepted`. */
  applyGradients(staging: Staging, options: StepOptions): StepAnswer | ContributionAnswer;
  readonly events: RunEvents;
  round(): RoundDescription;
  /** Of one of the latest rounds that closed; undefined for one that is open. */
  outcome(round: number): RoundOutcome | undefined;
  /** Takes a client's contribution out of the open round. Throws unknown_contribution, busy, storage_failed. */
  withdraw(clientId: string): void;
  setVariables(staging: Staging): void;
  /** Items are nested numbers, base64 tensors, or shapes with a Float32Array; throws invalid_weights. */
  setWeights(weights: readonly unknown[]): void;
  /** Throws invalid_config; what Keras would silently ignore is in `warnings`. */
  patchOptimizer(
    config: Readonly<Record<string, unknown>>,
  ): Member & { readonly warnings: readonly string[] };
}

/** A checkpoint on its way in: `begin` once with the file's metadata, then the tensors, then `commit`. */
export interface Restoration extends Releasable {
  /** The run that is there now, as far as preconditions are concerned; undefined when there is none. Throws as `get`. */
  current(): { readonly version: number } | undefined;
  /** Throws when the metadata describes no run that can be held here. */
  begin(metadata: ReadonlyMap<string, string>): TensorTarget;
  /** The turn, on disk when it resolves. Throws when a tensor is missing, and storage_full or storage_failed. */
  commit(): Promise<{
    readonly session: RunSession;
    /** The run as the checkpoint made it. */
    readonly description: RunDescription;
    readonly created: boolean;
  }>;
}

/** A whole run as a safetensors file on its way out. */
export interface CheckpointFile extends Releasable {
  readonly version: number;
  readonly byteLength: number;
  /** To be read to its end or cancelled, or the file to be released. */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | Uint8Array<ArrayBuffer>;
}

export interface Checkpoint {
  readonly version: number;
  /** Undefined where the version is known already. */
  readonly file: CheckpointFile | undefined;
}

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
