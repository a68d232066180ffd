/**
 * The kinds of config fields that members share: numbers kept as float32, switches, seeds, nested parts. Each member
 * lists its own fields, with their defaults, ranges and descriptions.
 */
import { z } from "zod";
import { float32 } from "../../float32.ts";

type Range = NonNullable<Parameters<typeof float32>[0]>;

/** A number with a default. */
export function number(fallback: number, description: string, range: Range = {}) {
  return float32(range).default(fallback).describe(description);
}

/** An optional number; absent or null means "not set". */
export function maybeNumber(description: string, range: Range = {}) {
  return float32(range).nullable().default(null).describe(description);
}

const absentIfNull = new WeakSet<z.ZodType>();

/** A field with a default for which null means, as None in Keras, that it is left out. */
export function nullIsAbsent<T extends z.ZodDefault>(field: T): T {
  absentIfNull.add(field);
  return field;
}

export const isAbsentIfNull = (field: z.ZodType | undefined) =>
  field !== undefined && absentIfNull.has(field);

/** A boolean with a default. None is false in Python. */
export function flag(fallback: boolean, description: string) {
  const field = z.boolean().default(fallback).describe(description);
  return fallback ? field : nullIsAbsent(field);
}
