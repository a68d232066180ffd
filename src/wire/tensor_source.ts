/**
 * Tensors in a JSON body: nested numbers, or `{dtype, shape, base64}`. The form is checked at once, the bytes are
 * decoded in pieces on demand.
 *
 * Knows no tensor by name and no target.
 */

import { elementCount, isShape, showShape, WIRE_DTYPES, type WireTensor } from "../tensor.ts";
import { JSON_DTYPES } from "./dtypes.ts";
import { flatten, float32Pieces, showValue } from "./nested_numbers.ts";
import { NestedNumbers } from "./number_list.ts";
import { unreadable } from "./unreadable.ts";

/** A tensor whose form is checked and whose bytes can be decoded. */
export interface TensorSource extends WireTensor {
  pieces(): Iterable<Uint8Array>;
}

/** Base64 letters decoded at a time; the decoded bytes fit in the cache. A multiple of 4. */
const PIECE_LETTERS = 64 << 10;

/** Values in either form. Errors: invalid_request, invalid_number, shape_mismatch. */
export function tensorSource(value: unknown, path: string): TensorSource {
  if (isObject(value)) return base64Source(value, path);
  if (value instanceof NestedNumbers) return numbersSource(value, path);
  const { shape, values } = flatten(value, path);
  return { dtype: "F32", shape, pieces: () => [new Uint8Array(values.buffer)] };
}

/** Indices in either form. Errors: as in {@link tensorSource}, and index_out_of_range. */
export function indexSource(value: unknown, path: string): TensorSource {
  if (isObject(value)) return base64Source(value, path);
  const isFlat = value instanceof NestedNumbers && value.shape.length === 1;
  if (!isFlat && !Array.isArray(value)) {
    throw unreadable(path, "must be an array of integers or a base64 tensor");
  }
  const indices = isFlat ? new Int32Array(value.shape[0]!) : new Int32Array((value as unknown[]).length);
  let at = 0;
  for (const part of isFlat ? value.segments : [value as unknown[]]) {
    readIndices(part, { into: indices, at, path });
    at += part.length;
  }
  return { dtype: "I32", shape: [indices.length], pieces: () => [new Uint8Array(indices.buffer)] };
}

/** Nested numbers are rounded to float32 when they are asked for, in pieces that fit in the cache. */
function numbersSource(numbers: NestedNumbers, path: string): TensorSource {
  function* pieces() {
    for (const piece of float32Pieces(numbers, path)) yield new Uint8Array(piece.buffer);
  }
  return { dtype: "F32", shape: numbers.shape, pieces };
}

function readIndices(
  from: ArrayLike<unknown>,
  { into, at, path }: { readonly into: Int32Array; readonly at: number; readonly path: string },
): void {
  for (let i = 0; i < from.length; i++) {
    const index = from[i];
    if (!Number.isInteger(index)) {
      throw unreadable(`${path}.${at + i}`, `is ${showValue(index)}, must be an integer`, "invalid_number");
    }
    into[at + i] = index as number;
    // No variable has 2^31 rows: they would not fit into an arena.
    if (into[at + i] !== index) {
      throw unreadable(`${path}.${at + i}`, `is ${index}, must be below 2^31`, "index_out_of_range");
    }
  }
}

export function base64Source(value: Record<string, unknown>, path: string): TensorSource {
  checkKeys(value, ["dtype", "shape", "base64"], path);
  const { shape, base64 } = value;
  const dtype = JSON_DTYPES.get(value["dtype"]);
  if (!dtype) throw unreadable(`${path}.dtype`, `must be one of ${[...JSON_DTYPES.keys()].join(", ")}`);
  if (!Array.isArray(shape) || !isShape(shape)) {
    throw unreadable(`${path}.shape`, "must be an array of integers from 0");
  }
  if (typeof base64 !== "string") throw unreadable(`${path}.base64`, "must be a string");
  const bytes = elementCount(shape) * WIRE_DTYPES[dtype];
  const letters = Math.ceil(bytes / 3) * 4;
  if (base64.length !== letters) {
    const problem = `has ${base64.length} letters, must have ${letters} for ${value["dtype"]} ${
      showShape(shape)
    }`;
    throw unreadable(`${path}.base64`, problem, "shape_mismatch");
  }
  return { dtype, shape, pieces: () => decodeBase64(base64, bytes, `${path}.base64`) };
}

function* decodeBase64(base64: string, bytes: number, path: string): Generator<Uint8Array> {
  const piece = new Uint8Array(PIECE_LETTERS / 4 * 3);
  for (let at = 0; at < base64.length; at += PIECE_LETTERS) {
    const wanted = Math.min(bytes - at / 4 * 3, piece.length);
    let written = 0;
    try {
      ({ written } = piece.setFromBase64(base64.slice(at, at + PIECE_LETTERS), {
        lastChunkHandling: "strict",
      }));
    } catch {
      // Not base64. This is reported below, as is white space, which the decoder would skip.
    }
    if (written !== wanted) throw unreadable(path, `is not base64 with padding near letter ${at}`);
    yield piece.subarray(0, written);
  }
}

/** Refuses keys that are in neither `keys` nor `optional`, and a missing one of `keys`. */
export function checkKeys(
  value: Record<string, unknown>,
  keys: readonly string[],
  path: string,
  optional: readonly string[] = [],
): void {
  const known = [...new Set([...keys, ...optional])];
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw unreadable(`${path}.${unknown}`, `is unknown, must be one of ${known.join(", ")}`);
  }
  const missing = keys.find((key) => !Object.hasOwn(value, key));
  if (missing !== undefined) throw unreadable(`${path}.${missing}`, "is missing");
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof NestedNumbers);
}
