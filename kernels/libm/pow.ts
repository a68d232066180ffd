/**
 * glibc's powf: 2 ^ (y · log2 x) in float64, rounded once.
 *
 * Fused and separate rounding of the polynomials give different float32 results about once in 10^8 times: too often
 * to ignore, too rarely to pay for the fused steps each time. Separate rounding is therefore tried first; the fused
 * steps follow only where the difference could change the result.
 */
import { roundToInteger, thirtySecondPower } from "./exp.ts";
import { binaryLog } from "./log.ts";

const { abs, fround } = Math;

/** More than twice what fusing changes: at most a few units of 2^-53 in an exponent of at most 150. */
const DOUBT = 2 ** -40;

/** x ^ y in float64, for positive finite x and finite y. */
function power(x: number, y: number, fused: boolean): number {
  const exponent = y * binaryLog(x, fused);
  // Beyond these bounds float32 has only infinity and 0.
  if (exponent > 129) return Infinity;
  if (exponent < -151) return 0;
  const n = roundToInteger(32 * exponent);
  return thirtySecondPower(n, 32 * exponent - n, fused);
}

/** x ^ y for float32 x and y, with powf's bits and C's special cases: `1 ^ NaN` and `(-1) ^ ∞` are 1. */
export function pow(x: number, y: number): number {
  if (y === 0 || x === 1) return 1;
  if (x === 0 || !Number.isFinite(x) || !Number.isFinite(y)) {
    return x === -1 && !Number.isNaN(y) ? 1 : Math.pow(x, y);
  }
  if (x < 0 && !Number.isInteger(y)) return NaN;
  const sign = x < 0 && y % 2 !== 0 ? -1 : 1;
  const quick = power(abs(x), y, false);
  const certain = fround(quick * (1 - DOUBT)) === fround(quick * (1 + DOUBT));
  return sign * fround(certain ? quick : power(abs(x), y, true));
}
