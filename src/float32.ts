/**
 * Which numbers of a request float32 can hold. Every schema of a number that becomes a float32 is made here.
 *
 * Tensors may hold "NaN" and "Infinity" in words; single numbers may not. Journals and checkpoints are not checked by
 * these schemas: what an earlier version took is read as it is.
 */
import { z } from "zod";

export const FLOAT32_MAX = 3.4028234663852886e38;
/** The smallest float64 that rounds to infinity in float32: halfway from the largest float32 to 2^128. */
export const FLOAT32_OVERFLOW = 3.4028235677973366e38;
/** The smallest float32 with all its digits; below it are the subnormal ones. */
export const FLOAT32_NORMAL_MIN = 2 ** -126;

interface Range {
  readonly minimum?: number;
  readonly maximum?: number;
}

/** A number that is finite as a float32, without a default. */
export function float32({ minimum = -FLOAT32_MAX, maximum = FLOAT32_MAX }: Range = {}): z.ZodNumber {
  return z.number().min(minimum).max(maximum);
}

/** A number above 0 that is finite as a float32. */
export function positive(): z.ZodNumber {
  return z.number().positive().max(FLOAT32_MAX);
}

/** The weight of a contribution. Kernels count subnormal numbers as 0, and a mean divides by the sum of weights. */
export function weight(): z.ZodNumber {
  return float32({ minimum: FLOAT32_NORMAL_MIN });
}
