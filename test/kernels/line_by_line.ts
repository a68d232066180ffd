/**
 * What formula lines mean, without graph, passes or kernels: each line is computed over whole arrays before the
 * next one. Dense float32 tensors only. Reductions add in the documented order, written down here once more.
 */
import { type Expression, parseFormula } from "../../kernels/formula.ts";
import { OPS, REDUCTIONS } from "../../kernels/ops.ts";

export type Value = number | Float32Array;

/** Float64 sum: blocks of 4096; in a block 16 lanes, even and odd apart, then what is left of the block. */
function sum(terms: readonly number[]): number {
  let total = 0;
  for (let from = 0; from < terms.length; from += 4096) {
    const block = terms.slice(from, from + 4096);
    const whole = 16 * Math.floor(block.length / 16);
    const lane = (n: number) => {
      let sum = 0;
      for (let j = n; j < whole; j += 16) sum += block[j] as number;
      return sum;
    };
    const half = (n: number) =>
      ((lane(n) + lane(n + 2)) + (lane(n + 4) + lane(n + 6))) +
      ((lane(n + 8) + lane(n + 10)) + (lane(n + 12) + lane(n + 14)));
    const rest = block.slice(whole).reduce((sum, term) => sum + term, 0);
    total += half(0) + half(1) + rest;
  }
  return total;
}

const tiny = (value: number) => Math.abs(value) < 2 ** -126 ? value * 0 : value;

function evaluate(from: Expression, values: ReadonlyMap<string, Value>): Value {
  if (from.kind === "number") return Math.fround(from.value);
  if (from.kind === "name") return values.get(from.name) as Value;
  const args = from.args.map((arg) => evaluate(arg, values));
  const reduction = REDUCTIONS.get(from.op);
  if (reduction) {
    const terms = Array.from(args[0] as Float32Array, (x) => reduction.squared ? x * x : x);
    return reduction.finish(sum(terms), terms.length);
  }
  const op = (...numbers: number[]): number => {
    const [a = 0, b = 0, c = 0] = numbers;
    if (from.op === "sign") return a > 0 ? 1 : a < 0 ? -1 : a;
    if (from.op === "clamp") return op2("max", op2("min", a, c), b);
    return OPS.get(from.op)?.evaluate?.(a, b, c) as number;
  };
  const op2 = (name: string, a: number, b: number) => OPS.get(name)?.evaluate?.(a, b, 0) as number;
  const long = args.find((arg) => typeof arg !== "number");
  // Numbers that a whole step shares are flushed as they arise, those of elements when they are stored.
  if (long === undefined) return tiny(op(...args as number[]));
  return long.map((_, n) => op(...args.map((arg) => typeof arg === "number" ? arg : arg[n] as number)));
}

/** Performs `lines` on `values`, which end up with every name's new value. */
export function performLines(
  lines: readonly string[],
  values: Map<string, Value>,
  stored: readonly string[],
): void {
  for (const { target, expression } of parseFormula(lines)) {
    let value = evaluate(expression, values);
    if (stored.includes(target) && expression.kind !== "name") {
      value = typeof value === "number" ? tiny(value) : value.map(tiny);
    }
    values.set(target, value);
  }
}
