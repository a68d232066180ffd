/** What is sent to make a step, and what it is answered. */
import type { Releasable } from "../../releasable.ts";

/** A number as JSON can say it: where it is not finite, "NaN", "Infinity" or "-Infinity". */
export type Loss = number | string;

/** What a keyed request was. */
export interface KeyUse {
  readonly key: string;
  /** Of everything that the request says. */
  readonly hash: string;
  /** Milliseconds since 1970: journaled, so that a replay forgets the same keys. */
  readonly at: number;
}

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

/** What keyed requests were answered. */
export interface KeyedAnswers {
  /** Marks a key as being worked on until it is released. Throws key_in_progress. */
  acquireKey(key: string): Releasable;
  /** The answer that a key got, or undefined for a new key. Throws key_reused when the request was another one. */
  find(use: { readonly key: string; readonly hash: string }): StepAnswer | ContributionAnswer | undefined;
}
