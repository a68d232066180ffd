/**
 * A contribution → a pseudo-gradient: what the optimizer descends along. A delta is one with the other sign; of new
 * weights it is what the run has minus what the client has (Reddi et al., "Adaptive Federated Optimization", 2021).
 *
 * Works in place on the staged regions and cannot fail: by then the contribution is in the journal. The sign, the bound
 * on its norm and what its staleness takes away are one factor, left to whoever adds it up.
 */
import type { Runner } from "../../../kernels/compiler/runner.ts";
import type { Figures } from "../../families/aggregators/aggregator.ts";
import type { Aggregation } from "../spec/aggregation.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import type { Staged } from "../staging/staging.ts";
import type { RunState } from "../tensors/state.ts";

export interface PseudoGradient {
  /** Of the optimized variables, in the order of the body. */
  readonly gradients: readonly Staged[];
  /** Values of variables with the role "average". */
  readonly averages: readonly Staged[];
  /** By which every element is to be multiplied: float32. */
  readonly factor: number;
  /** L2 norm of the pseudo-gradient before the factor, and of each variable's. */
  readonly norm: number;
  readonly variableNorms: ReadonlyMap<string, number>;
  /** What the contribution counts in a mean: above 0, or 0 where the aggregator's own formula says so. */
  readonly weight: number;
  /** What the bound on the norm makes of it; 1 within the bound. */
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
    /** What the client says. */
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

/** Bounds the norm; one that is not a number stays what it is. */
function clipFactorOf(norm: number, { clientClipnorm, rule }: Aggregation): number {
  const bound = Math.min(
    clientClipnorm ?? Infinity,
    rule.kind === "sum" ? rule.normBound ?? Infinity : Infinity,
  );
  return norm > bound ? Math.fround(bound / norm) : 1;
}
