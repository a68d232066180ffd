/**
 * The kinds of config fields that members share: numbers that live as float32, switches, seeds, nested parts.
 * Not a list of fields: each member says which it has, with its own default, range and words.
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

/** A number with its default. */
export function number(fallback: number, description: string, range: Range = {}) {
  return float32(range).default(fallback).describe(description);
}

/** A number that may be left out, or null: "not set". */
export function maybeNumber(description: string, range: Range = {}) {
  return float32(range).nullable().default(null).describe(description);
}

/** true or false. */
export function flag(fallback: boolean, description: string) {
  return z.boolean().default(fallback).describe(description);
}
