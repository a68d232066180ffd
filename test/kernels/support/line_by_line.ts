/**
 * The meaning of formula lines, without graph, passes or kernels: each line is computed over whole arrays before the
 * next line. Dense float32 tensors only. Reductions add in the documented order, implemented here a second time.
 */
import { type Expression, parseFormula } from "../../../kernels/language/formula_syntax.ts";
import { OPS } from "../../../kernels/language/ops.ts";

export type Value = number | Float32Array;

/** Float64 sum by blocks of 4096. In a block: 16 lanes, even and odd separately, then the rest of the block. */
export function sumInOrder(terms: readonly number[]): number {
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

const { fround } = Math;
const tiny = (value: number) => Math.abs(value) < 2 ** -126 ? value * 0 : value;

function evaluate(from: Expression, values: ReadonlyMap<string, Value>): Value {
  if (from.kind === "number") return fround(from.value);
  if (from.kind === "name") return values.get(from.name) as Value;
  const args = from.args.map((arg) => evaluate(arg, values));
  const x = args[0] as Float32Array;
  if (from.op === "sum") return fround(sumInOrder([...x]));
  if (from.op === "mean") return fround(sumInOrder([...x]) / x.length);
  if (from.op === "squares") return fround(sumInOrder(Array.from(x, (x) => fround(x * x))));
  if (from.op === "norm") return fround(Math.sqrt(fround(sumInOrder(Array.from(x, (x) => fround(x * x))))));
  if (from.op === "peak") return x.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  if (from.op === "count") return fround(x.length);
  const long = args.find((arg) => typeof arg !== "number");
  // Scalars are flushed as they are computed, elements only when they are stored.
  const kept = long === undefined ? tiny : (value: number) => value;
  const op = (...numbers: number[]): number => {
    const [a = 0, b = 0, c = 0] = numbers;
    if (from.op === "sign") return a > 0 ? 1 : a < 0 ? -1 : a;
    if (from.op === "clamp") return Number.isNaN(a) ? a : a > c ? (c < b ? b : c) : a < b ? b : a;
    if (from.op === "mod") return fround(a - kept(fround(b * Math.floor(kept(fround(a / b))))));
    return OPS.get(from.op)?.evaluate?.(a, b, c) as number;
  };
  if (long === undefined) return tiny(op(...args as number[]));
  return long.map((_, n) => op(...args.map((arg) => typeof arg === "number" ? arg : arg[n] as number)));
}

/**
 * Performs `lines` on `values`, which end up with every name's new value. Subnormal numbers of stored tensors are
 * flushed at the end, except in a plain copy of a given tensor.
 */
export function performLines(
  lines: readonly string[],
  values: Map<string, Value>,
  stored: readonly string[],
): void {
  const given = new Set(values.values());
  for (const { target, expression } of parseFormula(lines)) values.set(target, evaluate(expression, values));
  for (const name of stored) {
    const value = values.get(name) as Value;
    if (typeof value === "number") values.set(name, tiny(value));
    else if (!given.has(value)) values.set(name, value.map(tiny));
  }
}
