/**
 * What a round holds of its contributions until it closes, and what becomes of it then. Two kinds: sums, which take
 * contributions in as they come (sum_accumulator.ts), and lists of whole contributions (list_accumulator.ts).
 *
 * Invariants: `join` cannot fail, because the contribution is in the journal by then; `combine` changes nothing that is
 * held, so that a close that fails for want of memory can be tried again.
 */
import type { Runner } from "../../../kernels/compiler/plan.ts";
import type { Aggregation } from "../spec/aggregation.ts";
import type { Instruction } from "../step/instruction.ts";
import type { Memory } from "../tensors/memory.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import type { Prepared } from "./pseudo_gradient.ts";
import type { ArenaStaging, Staged } from "../staging/staging.ts";
import type { RunState, VariableState } from "../tensors/state.ts";

export interface GatheredParts {
  readonly state: RunState;
  readonly memory: Memory;
  readonly runner: Runner;
  readonly aggregation: Aggregation;
}

/** A contribution as it joins: its regions are the gatherer's from then on, if it wants them. */
export interface Joining {
  readonly staging: ArenaStaging;
  readonly prepared: Prepared;
}

/** What a round's contributions are together. */
export interface Combined {
  /** What is to be done to variables with the role "average" once the step is certain. */
  readonly averages: readonly Instruction[];
  readonly warnings: readonly string[];
}

export interface Gathered {
  join(contribution: Joining): void;
  /** Puts the combined gradients into `into`. Throws out_of_memory and changes nothing. */
  combine(into: ArenaStaging, noise: Noisy | null): Combined;
  free(): void;
}

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

/** to = to * factor over `count` elements; nothing to do for 1. */
export function scale({ state, runner }: GatheredParts, to: number, count: number, factor: number): void {
  if (factor === 1) return;
  runner(state.arena, {
    kernel: program(["g = factor * g"], ["g"], ["g"], ["factor"]).kernel(),
    tensors: { g: to },
    rowCount: 1,
    rowLength: count,
    uniforms: { factor: Math.fround(factor) },
  });
}

/** What is added to a sum: the float32 values at a byte offset, times a factor. */
export interface Addend {
  readonly values: number;
  readonly factor: number;
}

/** to = to + factor * values, for one addend after the other: the same bits in one pass as in many. */
export function accumulate(
  { state, runner }: Pick<GatheredParts, "state" | "runner">,
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
    // A pass flushes what it stores; what it only passes on is flushed as if it had been stored.
    return `total = ${n < addends.length - 1 ? `flush(${sum})` : sum}`;
  });
  const kernel = program(lines, Object.keys(tensors), ["total"], Object.keys(uniforms)).kernel();
  runner(state.arena, { kernel, tensors, rowCount: 1, rowLength: count, uniforms });
}

/** The variable becomes the sum of values at `from` over `weight`. */
export function setAverage(variable: VariableState, from: number, weight: number): Instruction {
  return {
    kind: "call",
    call: {
      kernel: program(["w = total / weight"], ["w", "total"], ["w"], ["weight"]).kernel(),
      tensors: { w: variable.offset, total: from },
      rowCount: 1,
      rowLength: variable.count,
      uniforms: { weight: Math.fround(weight) },
    },
  };
}
