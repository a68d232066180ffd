/**
 * Evaluates lines of single numbers in float64, for the numbers of a step that a framework computes in Python or
 * JavaScript and hands to its float32 kernels.
 *
 * Not for tensors. Invariant: only the results are rounded to float32, each once, and flushed like all numbers that
 * are computed once a step.
 */
import { BoundedMap } from "../bounded_map.ts";
import { type Expression, type Line, parseFormula } from "./formula_syntax.ts";
import { flush } from "./flush.ts";
import type { Expander } from "./op_row.ts";
import { OPS } from "./ops.ts";

/** Numbers instead of nodes. */
const NUMBERS: Expander = { number: (value) => value, apply };

function apply(op: string, a = 0, b = 0, c = 0): number {
  const row = OPS.get(op);
  const compute = row?.float64 ?? row?.evaluate;
  if (compute) return compute(a, b, c);
  if (!row?.expand) throw new Error(`Cannot compute ${op} of single numbers`);
  return row.expand(NUMBERS, a, b, c);
}

const parsed = new BoundedMap<string, readonly Line[]>(1024);

function linesOf(lines: readonly string[]): readonly Line[] {
  const key = lines.join("\n");
  let found = parsed.get(key);
  if (!found) parsed.set(key, found = parseFormula(lines));
  return found;
}

/** The float32 numbers that the lines set. `given` are float64 numbers by name; lines were checked before. */
export function evaluateDoubles(
  lines: readonly string[],
  given: Readonly<Record<string, number>>,
): Record<string, number> {
  const values: Record<string, number> = { ...given };
  const evaluate = (at: Expression): number => {
    if (at.kind === "number") return at.value;
    if (at.kind === "call") return apply(at.op, ...at.args.map(evaluate));
    const value = values[at.name];
    if (value === undefined) throw new Error(`Unknown name ${at.name}`);
    return value;
  };
  const made: Record<string, number> = {};
  for (const { target, expression } of linesOf(lines)) {
    const value = evaluate(expression);
    values[target] = value;
    made[target] = flush(Math.fround(value));
  }
  return made;
}
