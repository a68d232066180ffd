/**
 * Converts a contribution to a pseudo-gradient, along which the optimizer descends: for a delta, its negative; for
 * new weights, the run's values minus the client's (Reddi et al., "Adaptive Federated Optimization", 2021).
 *
 * It works in place on the staged regions and cannot fail, because the contribution is in the journal by then. Sign,
 * norm bound and staleness weight are combined in one factor, which the accumulator applies.
 */
import type { Runner } from "../../../kernels/compiler/runner.ts";
import type { Figures } from "../../families/aggregators/aggregator.ts";
import type { Aggregation } from "../spec/aggregation.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import type { Staged } from "../staging/staging.ts";
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
  readonly variableNorms: ReadonlyMap<string, number>;
  /** Weight of the contribution in a mean: above 0, or 0 if the aggregator's formula gives 0. */
  readonly weight: number;
  /** The factor that enforces the norm bound; 1 within the bound. */
  readonly clipFactor: number;
}

const FROM_WEIGHTS = ["g = w - g", "g_squares = squares(g)"];

/** The pseudo-gradient of a contribution; `stalenessFactor` is in 0..1. */
export function toPseudoGradient(
  staged: readonly Staged[],
  { state, runner, aggregation, stalenessFactor, staleness, weight }: {
    readonly state: RunState;
    readonly runner: Runner;
    readonly aggregation: Aggregation;
    readonly stalenessFactor: number;
    readonly staleness: number;
    /** As the client sent it. */
    readonly weight: number;
  },
): PseudoGradient {
  const gradients = staged.filter(({ variable }) => variable.role === "optimize");
  if (aggregation.payload === "weights") {
    for (const each of gradients) subtractFromVariable(state, each, runner);
  }
  const squares = gradients.reduce((sum, each) => sum + each.squares, 0);
  const norm = Math.sqrt(squares);
  const clipFactor = clipFactorOf(norm, aggregation);
  const sign = aggregation.payload === "delta" ? -1 : 1;
  return {
    gradients,
    averages: staged.filter(({ variable }) => variable.role === "average"),
    factor: Math.fround(Math.fround(sign * clipFactor) * Math.fround(stalenessFactor)),
    norm,
    variableNorms: new Map(gradients.map((each) => [each.variable.name, Math.sqrt(each.squares)])),
    weight: weigh({ norm, staleness, weight }, aggregation),
    clipFactor,
  };
}

function subtractFromVariable({ arena }: RunState, staged: Staged, runner: Runner): void {
  const { variable, values, count } = staged;
  const isSparse = staged.kind === "sparse";
  const { g_squares = 0 } = runner(arena, {
    kernel: program({ lines: FROM_WEIGHTS, tensors: ["g", "w"], stored: ["g"] }).kernel(
      isSparse ? { w: { access: "indexed" } } : {},
    ),
    tensors: { g: values, w: variable.offset },
    rowCount: isSparse ? staged.rows : 1,
    rowLength: isSparse ? variable.rowLength : count,
    ...isSparse && { indices: staged.indices },
    uniforms: {},
  });
  staged.squares = g_squares;
}

function weigh(figures: Figures, { rule }: Aggregation): number {
  return rule.kind === "sum" && rule.weigh ? rule.weigh(figures) : figures.weight;
}

/** The factor that bounds the norm; 1 for a NaN norm. */
function clipFactorOf(norm: number, { clientClipnorm, rule }: Aggregation): number {
  const bound = Math.min(
    clientClipnorm ?? Infinity,
    rule.kind === "sum" ? rule.normBound ?? Infinity : Infinity,
  );
  return norm > bound ? Math.fround(bound / norm) : 1;
}
