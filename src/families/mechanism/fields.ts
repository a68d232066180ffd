/**
 * The kinds of config fields that members share: numbers kept as float32, switches, seeds, nested parts. Each member
 * lists its own fields, with their defaults, ranges and descriptions.
 */
import { z } from "zod";

export const FLOAT32_MAX = 3.4028234663852886e38;

interface Range {
  readonly minimum?: number;
  readonly maximum?: number;
}

/** A number that is finite as a float32, without a default. */
export function float32({ minimum = -FLOAT32_MAX, maximum = FLOAT32_MAX }: Range = {}): z.ZodNumber {
  return z.number().min(minimum).max(maximum);
}

/** A number with a default. */
export function number(fallback: number, description: string, range: Range = {}) {
  return float32(range).default(fallback).describe(description);
}

/** An optional number; absent or null means "not set". */
export function maybeNumber(description: string, range: Range = {}) {
  return float32(range).nullable().default(null).describe(description);
}

/** A boolean with a default. */
export function flag(fallback: boolean, description: string) {
  return z.boolean().default(fallback).describe(description);
}
