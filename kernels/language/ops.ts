/**
 * The op table: one row per function or operator of the formula language. Parser, type rules, interpreter,
 * emitter and the tests over all ops read this table and have no list of their own.
 *
 * `evaluate` is the law, the reference: its result is a float32 (or, for a comparison, 1 or 0), rounded once. `emit`
 * does the same on four lanes; its arguments are cheap to repeat. A row with `expand` is defined by other ops.
 */
import { cos, exp, log, pow } from "../libm/mod.ts";
import type { Operator } from "./syntax.ts";
import { call, type Code, f32x4, i32, i32x4, v128 } from "../wasm/wasm.ts";

/** Builds a node while another op is expanded. */
export interface Expander {
  number(value: number): number;
  apply(op: string, ...args: number[]): number;
}

interface OpRow {
  readonly arity: number;
  /** Written between or before the operands, instead of `name(…)`; syntax.ts defines its precedence. */
  readonly symbol?: Operator;
  /** Comparisons give a mask, which only `where` accepts, as its first argument. */
  readonly mask?: true;
  readonly evaluate?: (a: number, b: number, c: number) => number;
  /** The same in float64, for numbers that are rounded later (doubles.ts); absent where `evaluate` rounds nothing. */
  readonly float64?: (a: number, b: number) => number;
  readonly emit?: (a: Code, b: Code, c: Code) => Code;
  /** Vectors that `emit` takes after its arguments; a kernel computes them once, before the elements. */
  readonly constants?: readonly Code[];
  /** So many of the first arguments make the result NaN or infinite whenever they are. */
  readonly keeps?: number;
  /** Takes a dozen cycles or more. */
  readonly slow?: true;
  /** A function of the host, called per lane: the same bits as `evaluate`, 50 to 80 ns per element. */
  readonly host?: true;
  readonly expand?: (to: Expander, a: number, b: number, c: number) => number;
  readonly meaning: string;
}

const { fround } = Math, SMALLEST_NORMAL = 2 ** -126;

/** Replaces a subnormal number by zero of the same sign, as TensorFlow's CPU kernels do. */
export function flush(value: number): number {
  return Math.abs(value) < SMALLEST_NORMAL ? value * 0 : value;
}

/** The same for vectors, from the bits of their exponents: an exponent of 0 means zero or subnormal. */
export const flushed = (value: Code, exponents: Code, zero: Code): Code =>
  v128.andnot(value, i32x4.shru(i32x4.eq(exponents, zero), i32.const(1)));

/** Rounds to the nearest integer, ties to even, as IEEE 754 does; Math.round rounds ties up. */
function roundToEven(value: number): number {
  const below = Math.floor(value), rest = value - below;
  const whole = rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
  return whole === 0 ? value * 0 : whole;
}

/**
 * x ^ y in float64. Whole powers are products, which have the same bits in every engine; for others, and for exp, log
 * and cos, engines may differ in the last bit of a float64 number, which rounding to float32 nearly always removes.
 */
function power64(x: number, y: number): number {
  if (!Number.isInteger(y) || y < 0 || y > 2 ** 31) return Math.pow(x, y);
  let product = 1;
  for (let left = y, square = x; left > 0; left = Math.floor(left / 2), square *= square) {
    if (left % 2 === 1) product *= square;
  }
  return product;
}

export const OPS: ReadonlyMap<string, OpRow> = new Map(Object.entries<OpRow>({
  add: {
    arity: 2,
    keeps: 2,
    symbol: "+",
    evaluate: (a, b) => fround(a + b),
    float64: (a, b) => a + b,
    emit: f32x4.add,
    meaning: "sum, rounded once",
  },
  sub: {
    arity: 2,
    keeps: 2,
    symbol: "-",
    evaluate: (a, b) => fround(a - b),
    float64: (a, b) => a - b,
    emit: f32x4.sub,
    meaning: "difference, rounded once",
  },
  mul: {
    arity: 2,
    keeps: 2,
    symbol: "*",
    evaluate: (a, b) => fround(a * b),
    float64: (a, b) => a * b,
    emit: f32x4.mul,
    meaning: "product, rounded once",
  },
  div: {
    arity: 2,
    keeps: 1,
    symbol: "/",
    evaluate: (a, b) => fround(a / b),
    float64: (a, b) => a / b,
    emit: f32x4.div,
    slow: true,
    meaning: "quotient, rounded once",
  },
  pow: {
    arity: 2,
    symbol: "^",
    evaluate: pow,
    float64: power64,
    host: true,
    meaning: "power, with the bits of C's powf",
  },
  neg: {
    arity: 1,
    keeps: 1,
    symbol: "-",
    evaluate: (a) => -a,
    emit: f32x4.neg,
    meaning: "the other sign, exact",
  },
  lt: {
    arity: 2,
    symbol: "<",
    mask: true,
    evaluate: (a, b) => Number(a < b),
    emit: f32x4.lt,
    meaning: "less",
  },
  le: {
    arity: 2,
    symbol: "<=",
    mask: true,
    evaluate: (a, b) => Number(a <= b),
    emit: f32x4.le,
    meaning: "less or equal",
  },
  gt: {
    arity: 2,
    symbol: ">",
    mask: true,
    evaluate: (a, b) => Number(a > b),
    emit: f32x4.gt,
    meaning: "greater",
  },
  ge: {
    arity: 2,
    symbol: ">=",
    mask: true,
    evaluate: (a, b) => Number(a >= b),
    emit: f32x4.ge,
    meaning: "greater or equal",
  },
  eq: {
    arity: 2,
    symbol: "==",
    mask: true,
    evaluate: (a, b) => Number(a === b),
    emit: f32x4.eq,
    meaning: "equal; NaN equals nothing",
  },
  ne: {
    arity: 2,
    symbol: "!=",
    mask: true,
    evaluate: (a, b) => Number(a !== b),
    emit: f32x4.ne,
    meaning: "not equal",
  },
  where: {
    arity: 3,
    evaluate: (mask, a, b) => mask !== 0 ? a : b,
    emit: (mask, a, b) => v128.bitselect(a, b, mask),
    meaning: "a where the comparison holds, else b",
  },
  min: {
    arity: 2,
    evaluate: (a, b) => b < a ? b : a,
    emit: f32x4.pmin,
    meaning: "b where b < a, else a: a NaN in the first argument stays, one in the second is passed over",
  },
  max: {
    arity: 2,
    evaluate: (a, b) => a < b ? b : a,
    emit: f32x4.pmax,
    meaning: "b where a < b, else a: a NaN in the first argument stays, one in the second is passed over",
  },
  flush: {
    arity: 1,
    evaluate: flush,
    constants: [v128.constI32(0x7f800000), v128.zero],
    emit: (a, exponent, zero) => flushed(a, v128.and(a, exponent), zero),
    meaning: "zero of the same sign where the argument is subnormal, else the argument",
  },
  abs: { arity: 1, evaluate: (a) => Math.abs(a), emit: f32x4.abs, meaning: "absolute value, exact" },
  sqrt: {
    arity: 1,
    evaluate: (a) => fround(Math.sqrt(a)),
    float64: Math.sqrt,
    emit: f32x4.sqrt,
    slow: true,
    meaning: "root, rounded once",
  },
  floor: {
    arity: 1,
    evaluate: (a) => Math.floor(a),
    emit: f32x4.floor,
    meaning: "next integer below, exact",
  },
  ceil: { arity: 1, evaluate: (a) => Math.ceil(a), emit: f32x4.ceil, meaning: "next integer above, exact" },
  round: {
    arity: 1,
    evaluate: roundToEven,
    emit: f32x4.nearest,
    meaning: "nearest integer, exact; halves go to the even one",
  },
  exp: {
    arity: 1,
    evaluate: exp,
    float64: Math.exp,
    host: true,
    meaning: "exponential, with the bits of C's expf",
  },
  log: {
    arity: 1,
    evaluate: log,
    float64: Math.log,
    host: true,
    meaning: "natural logarithm, with the bits of C's logf",
  },
  cos: {
    arity: 1,
    evaluate: cos,
    float64: Math.cos,
    host: true,
    meaning: "cosine, with the bits of C's cosf",
  },
  sign: {
    arity: 1,
    expand: (to, a) => {
      const zero = to.number(0);
      const below = to.apply("where", to.apply("lt", a, zero), to.number(-1), a);
      return to.apply("where", to.apply("gt", a, zero), to.number(1), below);
    },
    meaning: "1, -1, or the argument itself where it is ±0 or NaN",
  },
  clamp: {
    arity: 3,
    expand: (to, a, low, high) => to.apply("max", to.apply("min", a, high), low),
    meaning: "max(min(x, high), low)",
  },
  mod: {
    arity: 2,
    expand: (to, a, b) => to.apply("sub", a, to.apply("mul", b, to.apply("floor", to.apply("div", a, b)))),
    meaning: "a - b * floor(a / b): what is left of a, with the sign of b",
  },
}));

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

/** The host functions a kernel may import, by op name. */
export function hostFunctions(): Record<string, (a: number, b: number) => number> {
  const functions: Record<string, (a: number, b: number) => number> = {};
  for (const [name, row] of OPS) {
    const { evaluate } = row;
    if (row.host && evaluate) functions[name] = (a, b) => evaluate(a, b, 0);
  }
  return functions;
}

/** Calls a host function on `lanes` lanes, one call per lane. `index` is its place among the kernel's imports. */
export function emitHostCall(index: number, operands: readonly Code[], lanes: 1 | 4): Code {
  const lane = (n: number) => call(index, ...operands.map((operand) => f32x4.extract(n, operand)));
  const first = f32x4.splat(lane(0));
  return lanes === 1
    ? first
    : [1, 2, 3].reduce<Code>((vector, n) => f32x4.replace(n, vector, lane(n)), first);
}
