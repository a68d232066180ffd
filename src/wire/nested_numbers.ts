/**
 * Tensors as nested arrays of numbers: `flatten` reads them, `nest` writes them. Knows no dtype but float32 and no
 * other form of a tensor (json_tensors.ts does).
 *
 * Invariant: `flatten(JSON.parse(JSON.stringify(nest(v, s))))` gives the bits of `v` again, with the shape `s` unless
 * `s` has a zero before its last dimension; only payloads of NaN are lost.
 */

import { elementCount, type Shape } from "../tensor.ts";
import { unreadable } from "./unreadable.ts";

/** What {@link nest} gives; ready for `JSON.stringify`. */
export type Nested = number | string | RawJson | Nested[];
type RawJson = { readonly rawJSON: string };

export interface FlatTensor {
  readonly shape: number[];
  readonly values: Float32Array<ArrayBuffer>;
}

/** The first float64 that float32 rounds to infinity: halfway from the largest float32 to 2^128. */
const OVERFLOW = 3.4028235677973366e38;
/** More than any framework's tensors have; bounds the recursion. */
const RANK_MAX = 32;
const NON_FINITE = new Map<unknown, number>([["NaN", NaN], ["Infinity", Infinity], ["-Infinity", -Infinity]]);
/** `JSON.stringify(-0)` is `0`; this keeps the sign. */
const MINUS_ZERO = (JSON as unknown as { rawJSON(text: string): RawJson }).rawJSON("-0");

/**
 * Nested arrays (or one number: a scalar) to shape and values.
 *
 * `value` is what `JSON.parse` gave; numbers round to the nearest float32, and "NaN", "Infinity", "-Infinity" are
 * numbers too. `path` names the place in error messages, as `gradients.dense/kernel`.
 *
 * Errors: shape_mismatch for ragged nesting; invalid_number for anything that is no number, or that float32 cannot
 * hold. Memory is bounded by the elements that are really there.
 */
export function flatten(value: unknown, path: string): FlatTensor {
  const shape: number[] = [];
  for (let part = value; Array.isArray(part); part = part[0]) {
    if (shape.length === RANK_MAX) {
      throw unreadable(path, `is nested more than ${RANK_MAX} deep`, "shape_mismatch");
    }
    shape.push(part.length);
  }
  if (shape.length === 0) return { shape, values: Float32Array.of(readNumber(value, path)) };
  /** Where the walk is; a path is made of it only for a message. */
  const trail = shape.map(() => 0);
  const innermost = shape.length - 1;
  // Before anything is allocated: of a ragged value the first lengths may promise far more than it has.
  if (innermost > 0) check(value as unknown[], 0);
  const values = new Float32Array(elementCount(shape));
  let end = 0;
  fill(value as unknown[], 0);
  return { shape, values };

  function check(array: unknown[], axis: number): void {
    const wanted = shape[axis + 1];
    for (let i = 0; i < array.length; i++) {
      const part = array[i];
      if (!Array.isArray(part) || part.length !== wanted) {
        const place = showTrail(axis, i);
        if (!Array.isArray(part)) {
          throw unreadable(
            place,
            `is ${showValue(part)}, must be an array as its siblings`,
            "shape_mismatch",
          );
        }
        throw unreadable(
          place,
          `has ${part.length} elements, must have ${wanted} as the first of its siblings`,
          "shape_mismatch",
        );
      }
      if (axis + 1 === innermost) continue;
      trail[axis] = i;
      check(part, axis + 1);
    }
  }

  function fill(array: unknown[], axis: number): void {
    if (axis < innermost) {
      for (let i = 0; i < array.length; i++) {
        trail[axis] = i;
        fill(array[i] as unknown[], axis + 1);
      }
      return;
    }
    for (let i = 0; i < array.length; i++) {
      const x = array[i];
      if (typeof x === "number" && x < OVERFLOW && x > -OVERFLOW) values[end++] = x;
      else values[end++] = readNumber(x, showTrail(axis, i));
    }
  }

  function showTrail(axis: number, index: number): string {
    return [path, ...trail.slice(0, axis), index].join(".");
  }
}

function readNumber(value: unknown, path: string): number {
  if (typeof value === "number") {
    if (value < OVERFLOW && value > -OVERFLOW) return value;
    throw unreadable(path, `is ${value}, must be within float32's range, ±3.4028235e38`, "invalid_number");
  }
  const number = NON_FINITE.get(value);
  if (number !== undefined) return number;
  if (Array.isArray(value)) {
    throw unreadable(path, "is an array, must be a number as its siblings", "shape_mismatch");
  }
  throw unreadable(
    path,
    `is ${showValue(value)}, must be a number, "NaN", "Infinity" or "-Infinity"`,
    "invalid_number",
  );
}

/** A value as a message may quote it. */
export function showValue(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/**
 * Values to nested arrays of `shape`; a scalar to one number. The numbers are the float32 values exactly; NaN and the
 * infinities are strings, and −0 is what `JSON.stringify` writes as `-0`.
 */
export function nest(values: Float32Array, shape: Shape): Nested {
  if (shape.length === 0) return nestNumber(values[0]!);
  const innermost = shape.length - 1;
  let at = 0;
  return level(0);

  function level(axis: number): Nested[] {
    const array: Nested[] = [];
    const length = shape[axis]!;
    if (axis === innermost) { for (let i = 0; i < length; i++) array.push(nestNumber(values[at++]!)); }
    else for (let i = 0; i < length; i++) array.push(level(axis + 1));
    return array;
  }
}

function nestNumber(x: number): Nested {
  if (x === 0) return 1 / x > 0 ? 0 : MINUS_ZERO;
  return x - x === 0 ? x : String(x);
}
