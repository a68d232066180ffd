/** The options of a step or a contribution, and the answers to them. */
import type { Releasable } from "../../releasable.ts";
import type { Member, RunDescription } from "./run_description.ts";

/** A number as JSON can express it: "NaN", "Infinity" or "-Infinity" if it is not finite. */
export type Loss = number | string;

/** A key that is its owner's only. Names of owners and keys hold no space. */
export const scopedKey = (owner: string, key: string): string => `${owner} ${key}`;

/** The key as its owner has sent it, for messages. */
export const plainKey = (key: string): string => key.slice(key.indexOf(" ") + 1);

/** One use of an Idempotency-Key. */
export interface KeyUse {
  /** As the caller has sent it, or a {@link scopedKey}. */
  readonly key: string;
  /** Hash of the whole request. */
  readonly hash: string;
  /** Milliseconds since 1970. It is in the journal, so that a replay forgets the same keys. */
  readonly at: number;
}

export interface StepOptions {
  /** false: the caller has already aggregated, so apply the gradients at once. */
  readonly aggregate: boolean;
  readonly dryRun: boolean;
  readonly baseIteration?: number | undefined;
  readonly clientId?: string | undefined;
  readonly weight?: number | undefined;
  readonly hyperparameters?: Readonly<Record<string, unknown>> | undefined;
  /** The loss that the gradients belong to. It is reported with the step, and aggregators may read it. */
  readonly loss?: Loss | undefined;
  /** The key of a keyed request, whose answer is kept. */
  readonly key?: KeyUse | undefined;
  /**
   * Whether the journal has it: a replay repeats what was accepted, and checks nothing that an earlier version did not.
   */
  readonly isRecorded?: boolean | undefined;
  /** The edition of a recorded step (EDITION in src/run/rounds/accumulator.ts); absent: before the third. */
  readonly edition?: number | undefined;
}

/** Norms of the gradients of many variables: objects for each would take too much memory. As JSON it is the record. */
export interface ManyNorms {
  readonly variables: readonly { readonly name: string }[];
  /** In the order of `variables`. */
  readonly norms: Float64Array;
  toJSON(): Readonly<Record<string, { readonly gradient_norm: number }>>;
}

/** The L2 norm of each variable's gradient. */
export type VariableFigures = Readonly<Record<string, { readonly gradient_norm: number }>> | ManyNorms;

/** The result of a step, or with `applied: false` the result that it would have had. */
export interface StepAnswer {
  readonly applied: boolean;
  readonly iterations: number;
  readonly version: number;
  /** Of the default group. */
  readonly learning_rate: number;
  /** Of all groups, the default one among them; absent for a run without groups. */
  readonly groups?: Readonly<Record<string, { readonly learning_rate: number | string }>>;
  readonly gradient_norm: number;
  readonly clip_factor: number;
  readonly contributions: number;
  readonly variables: VariableFigures;
  readonly warnings: readonly string[];
  /** The round that became this step; absent in mode immediate. */
  readonly round?: number;
  /** Weighted mean of the contributions' losses; absent unless each has one. */
  readonly loss?: Loss;
}

/** The answer to a contribution that did not (or not yet) become a step. */
export interface ContributionAnswer {
  readonly applied: false;
  /** Whether the open round holds it: false for a dry run and for a contribution that `non_finite` skipped. */
  readonly accepted: boolean;
  readonly round: number;
  readonly iterations: number;
  readonly version: number;
  /** Count of contributions in the round now; `missing` is the count that it still needs to close. */
  readonly contributions: number;
  readonly missing: number;
  /** RFC 3339, UTC; null without one. */
  readonly deadline: string | null;
  readonly staleness: number;
  readonly weight: number;
  /** L2 norm of the pseudo-gradient before `client_clipnorm`. */
  readonly gradient_norm: number;
  /** The factor by which `client_clipnorm` (or the aggregator's bound) scales it. */
  readonly clip_factor: number;
  readonly variables: VariableFigures;
  readonly warnings: readonly string[];
  /** As the client sent it. */
  readonly loss?: Loss;
}

/** The answer to any other change: where the run stood after it. */
export interface ChangeAnswer {
  readonly iterations: number;
  readonly version: number;
  /** After hyperparameters were overwritten: the optimizer as it was then. */
  readonly optimizer?: PatchedOptimizer;
  /** After a restore, if it is not too long: the run as it was then. */
  readonly run?: RunDescription;
  /** After a restore: whether there was no such run before. */
  readonly created?: boolean;
}

/** An optimizer whose hyperparameters were overwritten, with what Keras would have ignored. */
export interface PatchedOptimizer extends Member {
  readonly warnings: readonly string[];
}

export type KeptAnswer = StepAnswer | ContributionAnswer | ChangeAnswer;

/** The answers to keyed requests. */
export interface KeyedAnswers {
  /** Marks a key as in progress until it is released. Throws key_in_progress. */
  acquireKey(key: string): Releasable;
  /**
   * Finds the answer to an earlier request with this key. Throws key_reused if that request was a different one. The
   * answer is of the caller's own kind, because the hash covers method and path.
   */
  find<A extends KeptAnswer = StepAnswer | ContributionAnswer>(
    use: { readonly key: string; readonly hash: string },
  ): A | undefined;
}
