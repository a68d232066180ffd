/**
 * The type of an aggregator: a family member that turns the contributions of a round into one gradient. A round
 * either adds them up as they arrive, in the memory of two models, or keeps all of them until the last has arrived.
 *
 * Not here: which contributions a round takes, staleness, noise (src/run). Invariant: a result depends on the
 * contributions in their accepted order and on nothing else.
 */
import { z } from "zod";
import type { Arena } from "../../../kernels/arena.ts";
import type { Runner } from "../../../kernels/compiler/runner.ts";
import type { Config, Member, Problem } from "../mechanism/family.ts";

/** The figures of a contribution that a weight may depend on. */
export interface Figures {
  /** L2 norm over all variables, before any bound. */
  readonly norm: number;
  /** The norm after every bound. */
  readonly bounded: number;
  /** The loss that came with it; 0 without one, unless the rule needs it. */
  readonly loss: number;
  /** Iterations between the one it was computed for and now. */
  readonly staleness: number;
  /** As the client sent it; above 0. */
  readonly weight: number;
}

export type AggregatorRule =
  /** `Σ c·g`, optionally divided by `Σ c`. c is the client's weight with `divide: "weight"` and 1 otherwise. */
  | {
    readonly kind: "sum";
    readonly divide: "nothing" | "count" | "weight";
    /** Each contribution is first clipped to this norm, taken over all of its variables. */
    readonly normBound?: number;
    /** Gives the weight of a contribution, in place of the client's. What is not finite and above 0 counts as 0. */
    readonly weigh?: (figures: Figures) => number;
    /** Gives what a contribution adds to the divisor of `divide: "weight"`; absent: its weight. */
    readonly divisor?: (figures: Figures) => number;
    /** The least loss that each contribution must come with; absent: it needs none. */
    readonly lossMin?: number | undefined;
  }
  /** Combines all contributions at once. All have the same dense variables. */
  | {
    readonly kind: "list";
    readonly combine: Combine;
    /** The fewest contributions that `combine` accepts; ≥ 1. */
    readonly contributionsMin: number;
    /** Nanoseconds that combining so many contributions takes for each element. */
    readonly work: (contributions: number) => number;
    /** Warnings for runs whose rounds may have only so many contributions. */
    readonly warn?: (contributions: number) => readonly string[];
  };

/** The work of a comparison of all pairs: Krum of 100 contributions takes about 5 µs for each element. */
export const pairsWork = (contributions: number) => contributions * (contributions - 1) / 2;
/** The work of ordering the contributions, element by element. */
export const orderWork = (contributions: number) => 1.5 * contributions * Math.log2(contributions + 1);

/** The contributions of a round, all in one arena. Regions are 64-byte aligned float32, padded to 64 bytes. */
export interface ContributionList {
  readonly arena: Arena;
  readonly variables: readonly {
    /** The number of elements. */
    readonly count: number;
    /** Byte offset of each contribution's values, in accepted order. Read only. */
    readonly offsets: readonly number[];
    /** Byte offset of the region to fill. */
    readonly result: number;
  }[];
  /** The clients' weights, ≥ 0, one per contribution. */
  readonly weights: readonly number[];
  readonly runner: Runner;
  /** The edition with which the round was closed (EDITION in src/run/rounds/accumulator.ts); absent: the newest. */
  readonly edition?: number;
  /** Scratch, freed by the caller afterwards. Throws out_of_memory. */
  allocate(bytes: number): number;
}

export interface Combined {
  readonly warnings?: readonly string[];
  /** The contributions that count, as indices into the accepted order. Absent if all count. */
  readonly used?: readonly number[];
}

/** Fills the results. Writes nowhere else except to scratch. */
export type Combine = (list: ContributionList) => Combined;

export interface AggregatorMember<C extends Config = Config> extends Member {
  rule(config: C): AggregatorRule;
}

/** Defines an aggregator whose `rule` gets its config with the schema's types. */
export function aggregator<F extends z.ZodRawShape>(member: {
  readonly class_name: string;
  readonly summary: string;
  readonly fields: F;
  readonly formulas?: readonly string[];
  check?(given: Config): readonly Problem[];
  rule(config: z.output<z.ZodObject<F>>): AggregatorRule;
}): AggregatorMember<z.output<z.ZodObject<F>> & Config> {
  const { fields, ...rest } = member;
  return { ...rest, config: z.strictObject(fields) };
}
