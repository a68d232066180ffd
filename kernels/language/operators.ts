/** The rows of the op table (ops.ts) that are written with a symbol: arithmetic and comparisons. */
import { pow } from "../libm/mod.ts";
import { f32x4 } from "../wasm/wasm.ts";
import type { OpRow } from "./op_row.ts";

const { fround } = Math;

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

export const OPERATORS: Readonly<Record<string, OpRow>> = {
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
};
