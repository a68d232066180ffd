/** The rows of the op table (ops.ts) that are written `name(…)`, each of which gives one number for each element. */
import { cos, exp, log } from "../libm/mod.ts";
import { f32x4, v128 } from "../wasm/wasm.ts";
import { flush, flushed } from "./flush.ts";
import type { OpRow } from "./op_row.ts";

const { fround } = Math;

/** Rounds to the nearest integer, ties to even, as IEEE 754 does; Math.round rounds ties up. */
function roundToEven(value: number): number {
  const below = Math.floor(value), rest = value - below;
  const whole = rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
  return whole === 0 ? value * 0 : whole;
}

export const ELEMENT_FUNCTIONS: Readonly<Record<string, OpRow>> = {
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
};
