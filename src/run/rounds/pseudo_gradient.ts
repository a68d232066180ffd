/**
 * Converts a contribution to a pseudo-gradient, along which the optimizer descends: for a delta, its negative; for
 * new weights, the run's values minus the client's (Reddi et al., "Adaptive Federated Optimization", 2021).
 *
 * It works in place on the staged regions and cannot fail, because the contribution is in the journal by then. Sign,
 * norm bound and staleness weight are combined in one factor, which the accumulator applies.
 */
import type { Runner } from "../../../kernels/compiler/runner.ts";
import type { Figures } from "../../families/aggregators/aggregator.ts";
import { figuresOfVariables } from "../answers/norms.ts";
import type { VariableFigures } from "../api/steps.ts";
import type { Aggregation } from "../spec/aggregation.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import type { Staged } from "../staging/staged.ts";
import type { RunState } from "../tensors/state.ts";

export interface PseudoGradient {
  /** Gradients of the optimized variables, in the order of the body. */
  readonly gradients: readonly Staged[];
  /** Values of variables with the role "average". */
  readonly averages: readonly Staged[];
  /** The float32 factor to multiply every element by. */
  readonly factor: number;
  /** L2 norms of the whole pseudo-gradient and of each variable's, before the factor. */
  readonly norm: number;
  readonly variableFigures: VariableFigures;
  /** Weight of the contribution in a mean: above 0, or what the aggregator's formula gives. */
  readonly weight: number;
  /** What it adds to the divisor of a mean: its weight, unless the aggregator says otherwise. */
  readonly divisor: number;
  /** The factor that enforces the norm bound; 1 within the bound. */
  readonly clipFactor: number;
}

const FROM_WEIGHTS = ["g = w - g", "g_squares = squares(g)"];

interface Preparation {
  readonly state: RunState;
  readonly runner: Runner;
  readonly aggregation: Aggregation;
  /** In 0..1. */
  readonly stalenessFactor: number;
  readonly staleness: number;
  /** As the client sent it. */
  readonly weight: number;
  /** As the client sent it; 0 without one. */
  readonly loss: number;
}

/** The pseudo-gradient of a contribution. */
export function toPseudoGradient(staged: readonly Staged[], preparation: Preparation): PseudoGradient {
  const { state, runner, aggregation } = preparation;
  if (aggregation.payload === "weights") {
    for (const each of optimizedOf(staged)) {
      each.squares = subtractFromVariable(state, each, { runner, stores: true });
    }
  }
  return figuresOf(staged, preparation);
}

/** The figures of a contribution's pseudo-gradient, without changing it. The squares of new weights need a pass. */
export function previewPseudoGradient(staged: readonly Staged[], preparation: Preparation): PseudoGradient {
  const { state, runner, aggregation } = preparation;
  if (aggregation.payload !== "weights") return figuresOf(staged, preparation);
  const moved = staged.map((each) =>
    each.variable.role === "optimize"
      ? { ...each, squares: subtractFromVariable(state, each, { runner, stores: false }) }
      : each
  );
  return figuresOf(moved, preparation);
}

const optimizedOf = (staged: readonly Staged[]) =>
  staged.filter(({ variable }) => variable.role === "optimize");

function figuresOf(
  staged: readonly Staged[],
  { state, aggregation, stalenessFactor, staleness, weight, loss }: Preparation,
): PseudoGradient {
  const gradients = optimizedOf(staged);
  const squares = gradients.reduce((sum, each) => sum + each.squares, 0);
  const norm = Math.sqrt(squares);
  const clipFactor = clipFactorOf(norm, state, aggregation);
  const sign = aggregation.payload === "delta" ? -1 : 1;
  return {
    gradients,
    averages: staged.filter(({ variable }) => variable.role === "average"),
    factor: Math.fround(Math.fround(sign * clipFactor) * Math.fround(stalenessFactor)),
    norm,
    variableFigures: figuresOfVariables(
      gradients.map(({ variable }) => variable),
      Float64Array.from(gradients, (each) => Math.sqrt(each.squares)),
    ),
    ...weigh({ norm, bounded: norm * clipFactor, staleness, weight, loss }, aggregation),
    clipFactor,
  };
}

/** Subtracts new weights from the variable, and returns the sum of squares. */
function subtractFromVariable(
  { arena }: RunState,
  staged: Staged,
  { runner, stores }: { readonly runner: Runner; readonly stores: boolean },
): number {
  const { variable, values, count } = staged;
  const isSparse = staged.kind === "sparse";
  const { g_squares = 0 } = runner(arena, {
    kernel: program({ lines: FROM_WEIGHTS, tensors: ["g", "w"], stored: stores ? ["g"] : [] }).kernel(
      isSparse ? { w: { access: "indexed" } } : {},
    ),
    tensors: { g: values, w: variable.offset },
    rowCount: isSparse ? staged.rows : 1,
    rowLength: isSparse ? variable.rowLength : count,
    ...isSparse && { indices: staged.indices },
    uniforms: {},
  });
  return g_squares;
}

function weigh(figures: Figures, { rule }: Aggregation): { weight: number; divisor: number } {
  const weight = rule.kind === "sum" && rule.weigh ? rule.weigh(figures) : figures.weight;
  return { weight, divisor: rule.kind === "sum" && rule.divisor ? rule.divisor(figures) : weight };
}

/** The factor that bounds the norm; 1 for a NaN norm. */
function clipFactorOf(norm: number, { clipNorm }: RunState, { rule }: Aggregation): number {
  const bound = Math.min(
    clipNorm ?? Infinity,
    rule.kind === "sum" ? rule.normBound ?? Infinity : Infinity,
  );
  return norm > bound ? Math.fround(bound / norm) : 1;
}

/** A weight as it counts: what is not a finite number above 0 counts as 0. */
export function countedWeight(weight: number): number {
  return weight > 0 && weight < Infinity ? weight : 0;
}

/** What is wrong with the weight that a formula gave; undefined for a finite one. */
export function unfitWeight(weight: number): string | undefined {
  if (Number.isFinite(weight)) return undefined;
  return `becomes ${weight} by the formula of the run's aggregator, must be finite as float32`;
}

/** The float32 factor of a contribution in a sum that is divided by `divide`. */
export function factorOf({ factor, weight }: PseudoGradient, divide: "nothing" | "count" | "weight"): number {
  return divide === "weight" ? Math.fround(factor * Math.fround(countedWeight(weight))) : factor;
}
