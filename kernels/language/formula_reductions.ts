/** The reductions of the formula language, one row each: functions that give one number for all elements. */
import type { Expander } from "./op_row.ts";

const { fround } = Math;

/**
 * A reduction: what it combines (float32 numbers, in float64: see interpret.ts), how, and how its float32 result
 * follows from the total.
 */
interface ReductionRow {
  /** Maps each element before it is combined; the result is float32 too. */
  readonly of?: (to: Expander, a: number) => number;
  /** Both begin at 0, so the terms of `max` must not be negative. */
  readonly combine: "add" | "max";
  readonly finish: (total: number, count: number) => number;
  readonly meaning: string;
}

const squared: ReductionRow["of"] = (to, a) => to.apply("mul", a, a);

export const REDUCTIONS: ReadonlyMap<string, ReductionRow> = new Map(Object.entries<ReductionRow>({
  sum: { combine: "add", finish: (total) => fround(total), meaning: "sum of all elements, rounded once" },
  mean: { combine: "add", finish: (total, count) => fround(total / count), meaning: "mean, rounded once" },
  squares: {
    of: squared,
    combine: "add",
    finish: (total) => fround(total),
    meaning: "sum of squares, rounded once",
  },
  norm: {
    of: squared,
    combine: "add",
    finish: (total) => fround(Math.sqrt(fround(total))),
    meaning: "L2 norm: the sum of squares rounded once, then its root rounded once",
  },
  peak: {
    of: (to, a) => to.apply("abs", a),
    combine: "max",
    finish: (total) => total,
    meaning: "largest absolute value, exact; NaN if there is one, 0 of nothing",
  },
  count: { combine: "add", finish: (_, count) => fround(count), meaning: "number of elements, rounded once" },
}));

/** How a reduction combines two totals. `max` keeps a NaN on either side. */
export const COMBINE: Readonly<Record<ReductionRow["combine"], (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  max: Math.max,
};
