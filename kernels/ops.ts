/**
 * The op table: one row per function or operator of the formula language. Parser, type rules, interpreter,
 * emitter and the tests over all ops read this table and have no list of their own.
 *
 * `evaluate` is the law: its result is a float32 (or, for a comparison, 1 or 0), rounded once. `emit` is the
 * same on four lanes; its arguments are cheap to repeat. A row with `expand` is written in terms of others.
 */
import { cos, exp, log, pow } from "./libm.ts";
import type { Operator } from "./syntax.ts";
import { call, type Code, f32x4, i32, i32x4, v128 } from "./wasm.ts";

/** Builds a node while another op is expanded. */
export interface Expander {
  number(value: number): number;
  apply(op: string, ...args: number[]): number;
}

interface OpRow {
  readonly arity: number;
  /** Stands between or before the operands, instead of `name(…)`; syntax.ts says how tight it binds. */
  readonly symbol?: Operator;
  /** Comparisons give a mask, which only `where` takes, as its first argument. */
  readonly mask?: true;
  readonly evaluate?: (a: number, b: number, c: number) => number;
  readonly emit?: (a: Code, b: Code, c: Code) => Code;
  /** Vectors that `emit` takes after its arguments; a kernel makes them once, before the elements. */
  readonly constants?: readonly Code[];
  /** Takes a dozen cycles and more. */
  readonly slow?: true;
  /** A function of the host, called per lane: exact to the same bits as `evaluate`, 50 to 80 ns an element. */
  readonly host?: true;
  readonly expand?: (to: Expander, a: number, b: number, c: number) => number;
  readonly meaning: string;
}

const { fround } = Math;

const SMALLEST_NORMAL = 2 ** -126;

/** TensorFlow's CPU kernels keep no subnormal numbers; neither do variables, slots and scalars here. */
export function flush(value: number): number {
  return Math.abs(value) < SMALLEST_NORMAL ? value * 0 : value;
}

export const OPS: ReadonlyMap<string, OpRow> = new Map(Object.entries<OpRow>({
  add: {
    arity: 2,
    symbol: "+",
    evaluate: (a, b) => fround(a + b),
    emit: f32x4.add,
    meaning: "sum, rounded once",
  },
  sub: {
    arity: 2,
    symbol: "-",
    evaluate: (a, b) => fround(a - b),
    emit: f32x4.sub,
    meaning: "difference, rounded once",
  },
  mul: {
    arity: 2,
    symbol: "*",
    evaluate: (a, b) => fround(a * b),
    emit: f32x4.mul,
    meaning: "product, rounded once",
  },
  div: {
    arity: 2,
    symbol: "/",
    evaluate: (a, b) => fround(a / b),
    emit: f32x4.div,
    slow: true,
    meaning: "quotient, rounded once",
  },
  pow: {
    arity: 2,
    symbol: "^",
    evaluate: pow,
    host: true,
    meaning: "power, with the bits of C's powf",
  },
  neg: {
    arity: 1,
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
    // An exponent of 0 means zero or subnormal: of those only the sign stays.
    constants: [v128.constI32(0x7f800000), v128.zero],
    emit: (a, exponent, zero) =>
      v128.andnot(a, i32x4.shru(i32x4.eq(v128.and(a, exponent), zero), i32.const(1))),
    meaning: "zero of the same sign where the argument is subnormal, else the argument",
  },
  abs: { arity: 1, evaluate: (a) => Math.abs(a), emit: f32x4.abs, meaning: "absolute value, exact" },
  sqrt: {
    arity: 1,
    evaluate: (a) => fround(Math.sqrt(a)),
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
  exp: {
    arity: 1,
    evaluate: exp,
    host: true,
    meaning: "exponential, with the bits of C's expf",
  },
  log: {
    arity: 1,
    evaluate: log,
    host: true,
    meaning: "natural logarithm, with the bits of C's logf",
  },
  cos: {
    arity: 1,
    evaluate: cos,
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
}));

/**
 * What a reduction adds up (float32 numbers, or their float32 squares, in float64: see interpret.ts) and how its
 * float32 result follows from the total.
 */
interface ReductionRow {
  readonly squared: boolean;
  readonly finish: (total: number, count: number) => number;
  readonly meaning: string;
}

export const REDUCTIONS: ReadonlyMap<string, ReductionRow> = new Map(Object.entries<ReductionRow>({
  sum: { squared: false, finish: (total) => fround(total), meaning: "sum of all elements, rounded once" },
  mean: { squared: false, finish: (total, count) => fround(total / count), meaning: "mean, rounded once" },
  squares: { squared: true, finish: (total) => fround(total), meaning: "sum of squares, rounded once" },
  norm: {
    squared: true,
    finish: (total) => fround(Math.sqrt(fround(total))),
    meaning: "L2 norm: the sum of squares rounded once, then its root rounded once",
  },
}));

/** The host functions a kernel may import, by op name. */
export function hostFunctions(): Record<string, (a: number, b: number) => number> {
  const functions: Record<string, (a: number, b: number) => number> = {};
  for (const [name, row] of OPS) {
    const { evaluate } = row;
    if (row.host && evaluate) functions[name] = (a, b) => evaluate(a, b, 0);
  }
  return functions;
}

/** A host function on `lanes` lanes, one call a lane. `index` is its place among the kernel's imports. */
export function emitHostCall(index: number, operands: readonly Code[], lanes: 1 | 4): Code {
  const lane = (n: number) => call(index, ...operands.map((operand) => f32x4.extract(n, operand)));
  const first = f32x4.splat(lane(0));
  return lanes === 1
    ? first
    : [1, 2, 3].reduce<Code>((vector, n) => f32x4.replace(n, vector, lane(n)), first);
}
