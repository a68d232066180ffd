/**
 * Tensors as nested arrays of numbers: `flatten` reads them, `nest` writes them. Knows only the dtype float32 and no
 * other form of a tensor (json_tensors.ts does).
 *
 * Invariant: `flatten(JSON.parse(JSON.stringify(nest(v, s))))` returns the bits of `v`, except for payloads of NaN,
 * and the shape `s`, unless `s` has a zero before its last dimension.
 */

import { FLOAT32_OVERFLOW } from "../float32.ts";
import { elementCount, type Shape } from "../tensor.ts";
import { NestedNumbers } from "./number_list.ts";
import { unreadable } from "./unreadable.ts";

/** The result of {@link nest}, for `JSON.stringify`. */
export type Nested = number | string | RawJson | Nested[];
type RawJson = { readonly rawJSON: string };

export interface FlatTensor {
  readonly shape: number[];
  readonly values: Float32Array<ArrayBuffer>;
}

const OVERFLOW = FLOAT32_OVERFLOW;
/** More dimensions than tensors have in any framework; bounds the recursion. */
export const RANK_MAX = 32;
export const NON_FINITE: ReadonlyMap<unknown, number> = new Map<unknown, number>([["NaN", NaN], [
  "Infinity",
  Infinity,
], ["-Infinity", -Infinity]]);
/** What every element must be, for messages. */
export const NOT_A_NUMBER = 'must be a number, "NaN", "Infinity" or "-Infinity"';
/** `JSON.stringify(-0)` is `0`; this keeps the sign. */
const MINUS_ZERO = (JSON as unknown as { rawJSON(text: string): RawJson }).rawJSON("-0");

/**
 * Converts nested arrays (or one number: a scalar) to shape and values.
 *
 * `value` is the result of `JSON.parse`, or the numbers that a {@link NumbersReader} took. Numbers round to the nearest float32; "NaN", "Infinity" and "-Infinity"
 * count as numbers. `path` is used in error messages, such as `gradients.dense/kernel`.
 *
 * Errors: shape_mismatch for ragged nesting; invalid_number for anything that is not a number or is beyond float32's
 * range. Memory is bounded by the number of elements actually present.
 */
export function flatten(value: unknown, path: string): FlatTensor {
  if (value instanceof NestedNumbers) return flattenNumbers(value, path);
  const shape: number[] = [];
  for (let part = value; Array.isArray(part); part = part[0]) {
    if (shape.length === RANK_MAX) {
      throw unreadable(path, `is nested more than ${RANK_MAX} deep`, "shape_mismatch");
    }
    shape.push(part.length);
  }
  if (shape.length === 0) return { shape, values: Float32Array.of(readNumber(value, path)) };
  /** The current position; it becomes a path only for a message. */
  const trail = shape.map(() => 0);
  const innermost = shape.length - 1;
  // Checked before allocating: the first lengths of a ragged value may announce far more elements than it has.
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
            `is ${showValue(part)}, must be an array like its siblings`,
            "shape_mismatch",
          );
        }
        throw unreadable(
          place,
          `has ${part.length} elements, must have ${wanted} like its first sibling`,
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

function flattenNumbers({ shape, segments }: NestedNumbers, path: string): FlatTensor {
  const values = new Float32Array(elementCount(shape));
  let at = 0;
  for (const piece of float32Pieces({ shape, segments }, path)) {
    values.set(piece, at);
    at += piece.length;
  }
  return { shape: [...shape], values };
}

/** The numbers as float32, a segment at a time. Throws invalid_number for one that is beyond its range. */
export function* float32Pieces(
  { shape, segments }: NestedNumbers,
  path: string,
): Generator<Float32Array<ArrayBuffer>> {
  let at = 0;
  for (const segment of segments) {
    const piece = Float32Array.from(segment);
    for (let i = 0; i < piece.length; i++) {
      const x = piece[i]!;
      // "Infinity" is taken; what only float32 makes infinite is not.
      if ((x === Infinity || x === -Infinity) && segment[i] !== x) {
        readNumber(segment[i], [path, ...trailOf(at + i, shape)].join("."));
      }
    }
    at += piece.length;
    yield piece;
  }
}

/** The indices of an element, from its place in row-major order. */
export function trailOf(at: number, shape: readonly number[]): number[] {
  const trail = [...shape];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    trail[axis] = at % shape[axis]!;
    at = Math.floor(at / shape[axis]!);
  }
  return trail;
}

function readNumber(value: unknown, path: string): number {
  if (typeof value === "number") {
    if (value < OVERFLOW && value > -OVERFLOW) return value;
    throw unreadable(path, `is ${value}, must be within float32's range, ±3.4028235e38`, "invalid_number");
  }
  const number = NON_FINITE.get(value);
  if (number !== undefined) return number;
  if (Array.isArray(value)) {
    throw unreadable(path, "is an array, must be a number like its siblings", "shape_mismatch");
  }
  throw unreadable(path, `is ${showValue(value)}, ${NOT_A_NUMBER}`, "invalid_number");
}

/** A value, shortened for a message. */
export function showValue(value: unknown): string {
  if (Array.isArray(value) || value instanceof NestedNumbers) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/**
 * Converts values to nested arrays of `shape`, and a scalar to one number. The numbers are exactly the float32
 * values; NaN and the infinities become strings, and −0 a value that `JSON.stringify` writes as `-0`.
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
