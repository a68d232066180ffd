/**
 * Checks that the float32 arithmetic on one contribution stays finite: rows that are united, new weights that are
 * subtracted from the variables, the factor of weight, clip and staleness.
 *
 * The contribution's own numbers are finite (check_contribution.ts). Invariants: nothing is changed, because the
 * journal has to get the numbers as they came. Only contributions whose squares say that an overflow is possible are
 * read element by element.
 */
import { refusal } from "../../errors.ts";
import { FLOAT32_MAX } from "../../float32.ts";
import type { Payload } from "../api/run_spec.ts";
import type { NonFinite } from "../spec/spec.ts";
import { firstNonFinite, shownPlace } from "../staging/non_finite.ts";
import type { Staged, StagedSparse } from "../staging/staged.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import { gradientOf } from "../step/check_contribution.ts";
import type { RunState } from "../tensors/state.ts";
import type { Combined } from "./accumulator.ts";

/** The arithmetic on the elements of a tensor. */
interface Arithmetic {
  /** The float32 factor by which each element is multiplied. */
  readonly factor: number;
  readonly payload: Payload;
}

/**
 * Returns the reason why the contribution is skipped, or an empty list. Throws non_finite_gradient with the policy
 * "reject".
 */
export function checkResults(
  state: RunState,
  tensors: Iterable<Staged>,
  policy: NonFinite,
  arithmeticOf: (staged: Staged) => Arithmetic,
): string[] {
  if (policy === "propagate") return [];
  for (const staged of tensors) {
    const problem = overflowOf(state, staged, arithmeticOf(staged));
    if (problem === undefined) continue;
    const subject = gradientOf(staged.variable.name);
    if (policy === "skip") return [`The step was skipped: ${subject.called} ${problem}`];
    throw refusal("non_finite_gradient", "step", subject, problem);
  }
  return [];
}

/** What of a round's combined contributions is not finite, in words. */
export function overflowsOf(
  state: RunState,
  { tensors }: ArenaStaging,
  { overflows }: Pick<Combined, "overflows">,
): string[] {
  const gradients = [...tensors.values()].flatMap((staged) => {
    const found = firstNonFinite(state, staged);
    return found ? [`${gradientOf(staged.variable.name).called} at ${found.at}`] : [];
  });
  return [...gradients, ...overflows];
}

/** As {@link checkResults}, of a contribution that is applied as it is. */
export function checkAsItIs(state: RunState, staging: ArenaStaging, policy: NonFinite): string[] {
  const { together } = staging;
  const isLarge = together?.squares.some((squares) => mayOverflow({ squares }, 1));
  const tensors = together && isLarge ? staging.tensors : staging.apart;
  return checkResults(state, tensors.values(), policy, () => ({ factor: 1, payload: "gradient" }));
}

/**
 * Whether a sum over the rows of a tensor can overflow if each element is multiplied by `factor`. No element is
 * greater than the norm. A norm is infinite from elements of about 1.8e19 on; below that, subtracting from a finite
 * variable cannot overflow. A factor above 1 can still carry a variable near float32's limit over it; the sum of the
 * round is checked for that.
 */
export function mayOverflow(staged: Pick<Staged, "squares"> & { rows?: number }, factor: number): boolean {
  const rows = staged.rows ?? 1;
  // The half leaves room for the rounding of the squares. A NaN is an overflow too.
  return !(Math.abs(factor) * Math.sqrt(staged.squares) * rows <= FLOAT32_MAX / 2);
}

function overflowOf(state: RunState, staged: Staged, { factor, payload }: Arithmetic): string | undefined {
  if (!mayOverflow(staged, factor)) return undefined;
  const { arena } = state, { variable, values, count } = staged;
  const given = arena.f32(values, count);
  const optimized = variable.role === "optimize";
  const old = optimized && payload === "weights" ? arena.f32(variable.offset, variable.count) : undefined;
  const rows = staged.kind === "sparse" ? arena.i32(staged.indices, staged.rows) : undefined;
  const { rowLength } = variable;
  const results = new Float32Array(count);
  for (let n = 0; n < count; n++) {
    const at = rows ? (rows[Math.floor(n / rowLength)] as number) * rowLength + n % rowLength : n;
    const element = given[n] as number;
    const moved = old ? Math.fround((old[at] as number) - element) : element;
    const result = results[n] = Math.fround(factor * moved);
    if (Number.isFinite(result)) continue;
    const why = Number.isFinite(moved)
      ? `${moved} times its factor ${factor}`
      : `${element} subtracted from the variable's ${old?.[at]}`;
    return `becomes ${result} at ${shownPlace(staged, n)} in float32 (${why}), must stay finite`;
  }
  return staged.kind === "sparse" ? unitedOverflow(state, staged, results) : undefined;
}

/** Adds the occurrences of each row in order, as a step does. */
function unitedOverflow(
  { arena }: RunState,
  { indices, rows, variable: { rowLength } }: StagedSparse,
  results: Float32Array,
): string | undefined {
  const list = arena.i32(indices, rows);
  const firsts = new Map<number, number>();
  for (let n = 0; n < rows; n++) {
    const row = list[n] as number, first = firsts.get(row);
    if (first === undefined) {
      firsts.set(row, n);
      continue;
    }
    for (let i = 0; i < rowLength; i++) {
      const to = first * rowLength + i;
      results[to] = (results[to] as number) + (results[n * rowLength + i] as number);
      if (Number.isFinite(results[to])) continue;
      return `becomes ${results[to]} in row ${row} once repeated rows are added up, must stay finite`;
    }
  }
  return undefined;
}
