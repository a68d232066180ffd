/**
 * What an aggregator is: a member that says how the contributions of a round become one gradient. A round either
 * adds them up as they arrive, in the memory of two models, or holds them all until the last one is there.
 *
 * Not here: which contributions a round takes, staleness, noise (src/run). Invariant: a result depends on the
 * contributions in their accepted order and on nothing else.
 */
import { z } from "zod";
import type { Arena } from "../../../kernels/arena.ts";
import type { Runner } from "../../../kernels/compiler/runner.ts";
import type { Config, Member, Problem } from "../mechanism/family.ts";

/** A contribution as a weight may see it. */
export interface Figures {
  /** L2 norm over all variables, before any bound. */
  readonly norm: number;
  /** Iterations since the one that it was computed for. */
  readonly staleness: number;
  /** What the client says: above 0. */
  readonly weight: number;
}

export type AggregatorRule =
  /** `Σ c·g`, where c is the client's weight with `divide: "weight"` and 1 otherwise; then divided by `Σ c`, or not. */
  | {
    readonly kind: "sum";
    readonly divide: "nothing" | "count" | "weight";
    /** Each contribution's norm over all of its variables is clipped to this first. */
    readonly normBound?: number;
    /** What a contribution counts, instead of what its client says: finite, and 0 or more. */
    readonly weigh?: (figures: Figures) => number;
  }
  /** All contributions at once; every one has the same dense variables. */
  | {
    readonly kind: "list";
    readonly combine: Combine;
    /** The fewest contributions that `combine` can do with; ≥ 1. */
    readonly contributionsMin: number;
  };

/** The contributions of a round, all in one arena. Regions are 64-byte aligned float32, padded to 64 bytes. */
export interface ContributionList {
  readonly arena: Arena;
  readonly variables: readonly {
    /** Elements. */
    readonly count: number;
    /** Byte offset of each contribution's values, in accepted order. They are only read. */
    readonly offsets: readonly number[];
    /** Byte offset of the region to fill. */
    readonly result: number;
  }[];
  /** The clients' weights, ≥ 0, one a contribution. */
  readonly weights: readonly number[];
  readonly runner: Runner;
  /** Scratch, freed by the caller afterwards. Throws out_of_memory. */
  allocate(bytes: number): number;
}

export interface Combined {
  readonly warnings?: readonly string[];
  /** The contributions that count, as places in the accepted order; absent: all do. */
  readonly used?: readonly number[];
}

/** Fills the results. Writes to nothing else but scratch. */
export type Combine = (list: ContributionList) => Combined;

export interface AggregatorMember<C extends Config = Config> extends Member {
  rule(config: C): AggregatorRule;
}

/** A member whose `rule` sees its config with the schema's types. */
export function aggregator<F extends z.ZodRawShape>(member: {
  readonly class_name: string;
  readonly summary: string;
  readonly fields: F;
  check?(given: Config): readonly Problem[];
  rule(config: z.output<z.ZodObject<F>>): AggregatorRule;
}): AggregatorMember<z.output<z.ZodObject<F>> & Config> {
  const { fields, ...rest } = member;
  return { ...rest, config: z.strictObject(fields) };
}
