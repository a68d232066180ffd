/**
 * The session of one run, as the HTTP layer sees it. It is implemented in session.ts.
 *
 * Invariant: every method that changes state is synchronous (the turn) and validates everything before its first
 * write. If it throws a `StepwellError`, it has changed nothing.
 */
import type { Releasable } from "../../releasable.ts";
import type { NamedTensor, TensorTarget } from "../../tensor.ts";
import type { RoundDescription, RoundOutcome } from "./rounds.ts";
import type { AggregationDescription, Member, RunDescription } from "./run_description.ts";
import type { RunEvents } from "./run_events.ts";
import type {
  ContributionAnswer,
  KeyedAnswers,
  KeyUse,
  PatchedOptimizer,
  StepAnswer,
  StepOptions,
} from "./steps.ts";

/** All variables as they lie in a safetensors file. */
export interface PublishedFile {
  /** The file's beginning, up to the first tensor. */
  header(metadata: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer>;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** Tensors that no later step changes. They must be released after the last byte was read. */
export interface Publication extends Releasable {
  readonly iterations: number;
  readonly version: number;
  readonly tensors: readonly NamedTensor[];
  /** The same tensors, if they are all variables; sending it costs less than the tensors do. */
  readonly file?: PublishedFile | undefined;
}

/** Holds a body's tensors until they are applied. */
export interface Staging extends TensorTarget, Releasable {}

/** The largest bodies that a run can use. */
export interface BodyLimits {
  /** Of a decoded body, in bytes. */
  bodyBytesMax(format: "json" | "safetensors"): number;
  /** Of the header of a safetensors body, in bytes. */
  readonly headerBytesMax: number;
}

/** The session of one run. Readers get copies that no later turn changes. */
export interface RunSession {
  readonly id: string;
  readonly iterations: number;
  readonly version: number;
  /** Decides which contributions become a step. */
  readonly mode: AggregationDescription["mode"];
  describe(): RunDescription;
  /** The largest bodies that this run can accept. */
  readonly limits: BodyLimits;

  /** Prepares publications of all variables, in pieces: it takes long for many, and is done once. */
  layingOut(): Generator<number, unknown>;
  /** All variables of this version, sharing one copy between readers; throws unknown_variable for `names`. */
  publish(names?: readonly string[]): Publication;
  /**
   * The rows `indices` of a variable, in that order; throws unknown_variable, index_out_of_range, shape_mismatch for
   * a scalar, and invalid_request before anything is allocated when the rows have more than `bytesMax` bytes.
   */
  gather(
    name: string,
    indices: readonly number[] | Int32Array,
    options: { readonly bytesMax: number },
  ): NamedTensor;
  slotNames(): readonly string[];
  /** One tensor per variable that has the slot; throws unknown_slot. */
  readSlot(slot: string): readonly NamedTensor[];
  /** `get_weights`: `iterations` is null while Keras would not have created it; scalar state is among the tensors. */
  weights(): { readonly iterations: number | null; readonly tensors: readonly NamedTensor[] };
  /** That of the run, or of a group; throws unknown_group. */
  optimizer(group?: string): Member;
  /** The latest applied steps, newest first. */
  steps(limit: number): readonly StepAnswer[];
  /** The answers to keyed requests. */
  readonly replies: KeyedAnswers;
  stage(kind: "gradients" | "values"): Staging;
  /**
   * Makes a step, or in mode round or buffer a contribution to one. Only the answer to a contribution has `accepted`.
   */
  applyGradients(staging: Staging, options: StepOptions): StepAnswer | ContributionAnswer;
  readonly events: RunEvents;
  round(): RoundDescription;
  /** The outcome of one of the latest rounds; undefined for the open round and for rounds that are forgotten. */
  outcome(round: number): RoundOutcome | undefined;
  /** Takes a client's contribution out of the open round. Throws unknown_contribution, busy, storage_failed. */
  withdraw(clientId: string): void;
  /** With a key, a change that was made is among `replies`, as a {@link ChangeAnswer}; so it is for the next two. */
  setVariables(staging: Staging, key?: KeyUse): void;
  /** Items are nested numbers, base64 tensors, or shapes with a Float32Array; throws invalid_weights. */
  setWeights(weights: readonly unknown[], key?: KeyUse): void;
  /** Of the run, or of a group. Throws invalid_config and unknown_group; settings that Keras silently ignores give `warnings`. */
  patchOptimizer(
    config: Readonly<Record<string, unknown>>,
    options?: { readonly key?: KeyUse | undefined; readonly group?: string | undefined },
  ): PatchedOptimizer;
}
