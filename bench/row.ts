/**
 * One row of the benchmark's table as data: what was compared, the figure, the goal and whether it is met. Measuring
 * is in harness.ts, printing in table.ts.
 */
import type { Comparison } from "./harness.ts";

/** A bound on a row's figure. */
export interface Goal {
  readonly relation: "≥" | "≤";
  readonly value: number;
}

export type Verdict = "met" | "missed" | "noisy" | "no goal" | "skipped";

export interface Row {
  /** The work with its size: `Adam 1M`. */
  readonly work: string;
  /** The rival, or what is counted. */
  readonly against: string;
  /** The ratio or count; null when the row was skipped. */
  readonly figure: number | null;
  readonly unit: "x" | "ms" | "1/s" | "MB" | "copies" | "flushes";
  readonly goal: Goal | null;
  readonly verdict: Verdict;
  /** The 20th and 80th percentile of the figure, for rows that compare. */
  readonly spread?: readonly [number, number];
  readonly comparison?: Comparison;
  /** The absolute figures behind the ratio, or why the row was skipped. */
  readonly note: string;
}

/** Whether `figure` meets `goal`; a noisy figure counts only if its bad end, `worst`, meets the goal too. */
export function judge(goal: Goal | null, figure: number, worst = figure): Verdict {
  if (goal === null) return "no goal";
  const keeps = (value: number) => goal.relation === "≥" ? value >= goal.value : value <= goal.value;
  if (keeps(worst)) return "met";
  return keeps(figure) ? "noisy" : "missed";
}

/**
 * A row for a comparison. `as` selects the figure: rival/ours for "faster" (with ≥ goals), ours/rival for "cost"
 * (with ≤ goals).
 */
export function ratioRow(
  work: string,
  against: string,
  comparison: Comparison,
  options: { goal?: Goal | null; as?: "faster" | "cost"; note?: string } = {},
): Row {
  const { goal = null, as = "faster", note = "" } = options;
  const figure = as === "faster" ? comparison.ratio : 1 / comparison.ratio;
  // A comparison is judged by its median, or by the pessimistic end of its spread when it is noisy.
  const worst = comparison.noisy ? (as === "faster" ? comparison.p20 : 1 / comparison.p20) : figure;
  const times = `${showUs(comparison.oursUs)} / ${showUs(comparison.rivalUs)}`;
  return {
    work,
    against,
    figure,
    unit: "x",
    goal,
    verdict: judge(goal, figure, worst),
    spread: as === "faster" ? [comparison.p20, comparison.p80] : [1 / comparison.p80, 1 / comparison.p20],
    comparison,
    note: note === "" ? times : `${times}; ${note}`,
  };
}

/** A row for a figure that is counted, not compared. */
export function countRow(
  work: string,
  against: string,
  count: { figure: number; unit: Row["unit"]; goal?: Goal | null; note?: string },
): Row {
  const { figure, unit, goal = null, note = "" } = count;
  return { work, against, figure, unit, goal, verdict: judge(goal, figure), note };
}

/** A row that could not be measured on this machine, with the reason. */
export function skippedRow(work: string, against: string, reason: string, goal: Goal | null = null): Row {
  return { work, against, figure: null, unit: "x", goal, verdict: "skipped", note: reason };
}

/** Microseconds for people: `305 µs`, `4.21 ms`. */
export function showUs(us: number): string {
  return us < 1000 ? `${us.toPrecision(3)} µs` : `${(us / 1000).toPrecision(3)} ms`;
}

/** Counts for people: 1000 → `1k`, 10_000_000 → `10M`; other counts in full. */
export function showCount(count: number): string {
  if (count >= 1e6 && count % 1e6 === 0) return `${count / 1e6}M`;
  return count >= 1000 && count % 1000 === 0 ? `${count / 1000}k` : String(count);
}
