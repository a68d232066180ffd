/** Subnormal numbers as zeros: the law for one number, and the same for vectors. */
import { type Code, i32, i32x4, v128 } from "../wasm/wasm.ts";

const SMALLEST_NORMAL = 2 ** -126;

/** Replaces a subnormal number by zero of the same sign, as TensorFlow's CPU kernels do. */
export function flush(value: number): number {
  return Math.abs(value) < SMALLEST_NORMAL ? value * 0 : value;
}

/** The same for vectors, from the bits of their exponents: an exponent of 0 means zero or subnormal. */
export const flushed = (value: Code, exponents: Code, zero: Code): Code =>
  v128.andnot(value, i32x4.shru(i32x4.eq(exponents, zero), i32.const(1)));
