/**
 * The interface of accumulators, which keep a round's contributions and combine them when the round closes. One kind
 * adds each contribution to a sum (sum_accumulator.ts), the other keeps a list of whole contributions
 * (list_accumulator.ts).
 *
 * Invariants: `join` cannot fail, because the contribution is in the journal by then. `combine` does not change the
 * accumulator, so that a close that fails for lack of memory can be tried again.
 */
import type { Runner } from "../../../kernels/compiler/runner.ts";
import { FLOAT32_MAX } from "../../float32.ts";
import type { Aggregation } from "../spec/aggregation.ts";
import type { Instruction } from "../step/instruction.ts";
import type { Memory } from "../tensors/memory.ts";
import type { Releasable } from "../../releasable.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import type { PseudoGradient } from "./pseudo_gradient.ts";
import type { Staged } from "../staging/staged.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { RunState, VariableState } from "../tensors/state.ts";

export interface AccumulatorParts {
  readonly state: RunState;
  readonly memory: Memory;
  readonly runner: Runner;
  readonly aggregation: Aggregation;
}

/** A contribution as it joins. The accumulator becomes the owner of the regions that it keeps. */
export interface Joining {
  readonly staging: ArenaStaging;
  readonly pseudoGradient: PseudoGradient;
}

/** All contributions of a round as one. */
export interface Combined {
  /** Instructions that set the variables with the role "average", to be performed with the step. */
  readonly averages: readonly Instruction[];
  readonly warnings: readonly string[];
  /** What is not finite although each contribution is, in words. The gradients in the staging are not among it. */
  readonly overflows: readonly string[];
}

export interface Accumulator extends Releasable {
  join(contribution: Joining): void;
  /** Puts the combined gradients into `into`. Throws out_of_memory; then nothing has changed. */
  combine(into: ArenaStaging, options: { noise: Noisy | null; edition: number }): Combined;
  /** A copy for a dry run, to be released while this one lives. Throws out_of_memory; then nothing has changed. */
  copy(): Accumulator;
}

/**
 * The edition of the arithmetic and of the answers with which steps are made. The journal has it with each step, so
 * that a replay gives the bits and the answers of then. Edition 1 did not count weights in MultiKrum.
 */
export const EDITION = 3;
/** The first edition that tells of numbers that are not finite after a step. */
export const TELLING_EDITION = 3;

/** Adds noise to a variable's sum at a byte offset. */
export type Noisy = (variable: VariableState, offset: number) => void;

/** A combined dense gradient at `values`, with its figures. */
export function dense(variable: VariableState, values: number, squares: number): Staged {
  return {
    kind: "dense",
    variable,
    values,
    count: variable.count,
    squares,
    wire: { dtype: "F32", offset: values },
  };
}

/** to = to * factor over `count` elements. */
export function scale({ state, runner }: AccumulatorParts, to: number, count: number, factor: number): void {
  if (factor === 1) return;
  runner(state.arena, {
    kernel: program({ lines: ["g = factor * g"], tensors: ["g"], stored: ["g"], uniforms: ["factor"] })
      .kernel(),
    tensors: { g: to },
    rowCount: 1,
    rowLength: count,
    uniforms: { factor: Math.fround(factor) },
  });
}

/** A summand: the float32 values at a byte offset, times a factor. */
export interface Addend {
  readonly values: number;
  readonly factor: number;
}

/** to = to + factor * values, for one addend after the other. One pass gives the same bits as several. */
export function accumulate(
  { state, runner }: Pick<AccumulatorParts, "state" | "runner">,
  { to, count, addends }: {
    readonly to: number;
    readonly count: number;
    readonly addends: readonly Addend[];
  },
): void {
  const tensors: Record<string, number> = { total: to }, uniforms: Record<string, number> = {};
  const lines = addends.map(({ values, factor }, n) => {
    tensors[`g_${n}`] = values;
    if (factor !== 1) uniforms[`factor_${n}`] = Math.fround(factor);
    const sum = factor === 1 ? `total + g_${n}` : `total + factor_${n} * g_${n}`;
    // A pass flushes the values that it stores, so the intermediate sums must be flushed too.
    return `total = ${n < addends.length - 1 ? `flush(${sum})` : sum}`;
  });
  const kernel = program({
    lines,
    tensors: Object.keys(tensors),
    stored: ["total"],
    uniforms: Object.keys(uniforms),
  }).kernel();
  runner(state.arena, { kernel, tensors, rowCount: 1, rowLength: count, uniforms });
}

/** Why dividing the values at `from` by the sum of weights gives no finite mean; empty if it does. */
export function overflowsOfMean(
  { state: { arena } }: Pick<AccumulatorParts, "state">,
  { name, count }: VariableState,
  { from, weight, bound }: { readonly from: number; readonly weight: number; readonly bound: number },
): string[] {
  if (bound <= FLOAT32_MAX / 2 && weight <= FLOAT32_MAX / 2) return [];
  const divisor = Math.fround(weight);
  const sums = arena.f32(from, count);
  const isFinite = divisor < Infinity && sums.every((sum) => Number.isFinite(Math.fround(sum / divisor)));
  return isFinite ? [] : [`the weighted mean of "${name}"`];
}

/** Sets the variable to the sum of values at `from` divided by `weight`. */
export function setAverage(variable: VariableState, from: number, weight: number): Instruction {
  return {
    kind: "call",
    call: {
      kernel: program({
        lines: ["w = total / weight"],
        tensors: ["w", "total"],
        stored: ["w"],
        uniforms: ["weight"],
      }).kernel(),
      tensors: { w: variable.offset, total: from },
      rowCount: 1,
      rowLength: variable.count,
      uniforms: { weight: Math.fround(weight) },
    },
  };
}
