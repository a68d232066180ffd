/**
 * Reads tensors from a JSON body into a target. A tensor has one of these forms:
 *
 *     nested numbers | null | {dtype, shape, base64} | {indices?, scale?, values}, each part nested or base64
 *
 * A tensor with `indices` is sparse, or flat with `flat: true`. With `scale`, and optionally `block`, `values` are
 * int8. Only the form is checked here; the target accepts or refuses names, shapes and dtypes.
 */

import { elementCount, type TensorTarget, WIRE_DTYPES, type WireDtype } from "../tensor.ts";
import { type IntegerDtype, isInteger, showInexact, writeIntegers } from "./integers.ts";
import { nextTurn } from "../slices.ts";
import { flatten, type FlatTensor } from "./nested_numbers.ts";
import { BLOCK_DEFAULT, checkBlock, checkParts } from "./packing.ts";
import {
  base64Source,
  checkKeys,
  indexSource,
  isObject,
  type TensorSource,
  tensorSource,
} from "./tensor_source.ts";
import { unreadable } from "./unreadable.ts";

/** The bytes that are written before others run: some milliseconds. */
const SLICE_BYTES = 4 << 20;
/** The work of one tensor, whatever its size, as bytes. */
const TENSOR_COST_BYTES = 4 << 10;

/**
 * Writes every member of `tensors` into `target`, in order: `null` as no gradient, the others as dense or sparse.
 * `path` is the path of the object for messages, such as `gradients`.
 *
 * Errors: invalid_request for a form that is none of the above; shape_mismatch, invalid_number, dtype_mismatch,
 * index_out_of_range for its content; what the target throws.
 */
export function writeTensors(tensors: unknown, target: TensorTarget, path: string): void {
  for (const _bytes of writing(tensors, target, path));
}

/** Like {@link writeTensors}, but lets others run after each {@link SLICE_BYTES}. */
export async function writeTensorsInSlices(
  tensors: unknown,
  target: TensorTarget,
  path: string,
): Promise<void> {
  let bytes = 0;
  for (const written of writing(tensors, target, path)) {
    bytes += written + TENSOR_COST_BYTES;
    if (bytes < SLICE_BYTES) continue;
    bytes = 0;
    await nextTurn();
  }
}

/** Yields the bytes of each piece that has been written. */
function* writing(tensors: unknown, target: TensorTarget, path: string): Generator<number> {
  if (!isObject(tensors)) throw unreadable(path, "must be an object of tensors by name");
  for (const name of Object.keys(tensors)) {
    yield* writeTensor(name, tensors[name], { target, path: `${path}.${name}` });
  }
}

function* writeTensor(
  name: string,
  value: unknown,
  { target, path }: { target: TensorTarget; path: string },
): Generator<number> {
  if (value === null) return target.none(name);
  if (isObject(value) && ["indices", "values", "scale"].some((key) => key in value)) {
    return yield* writeParts(name, value, { target, path });
  }
  const source = tensorSource(value, path);
  yield* pour(source, target.dense(name, source));
}

function* writeParts(
  name: string,
  value: Record<string, unknown>,
  { target, path }: { target: TensorTarget; path: string },
): Generator<number> {
  const isScaled = "scale" in value;
  const wanted = isScaled ? ["values"] : ["indices", "values"];
  checkKeys(value, wanted, path, ["indices", "flat", ...(isScaled ? ["scale", "block"] : [])]);
  const { flat = false, block = BLOCK_DEFAULT } = value;
  if (typeof flat !== "boolean") throw unreadable(`${path}.flat`, "must be true or false");
  if (flat && !("indices" in value)) throw unreadable(`${path}.indices`, "is missing");
  const indices = "indices" in value ? indexSource(value["indices"], `${path}.indices`) : undefined;
  const scale = isScaled
    ? { ...tensorSource(value["scale"], `${path}.scale`), block: checkBlock(block, `${path}.block`) }
    : undefined;
  const values = tensorSource(value["values"], `${path}.values`);
  const tensor = { values, flat, ...(indices && { indices }), ...(scale && { scale }) };
  checkParts(tensor, path);
  if (!scale && !flat && indices) {
    const sinks = target.sparse(name, indices, values);
    yield* pour(indices, sinks.indices);
    yield* pour(values, sinks.values);
    return;
  }
  const sinks = target.packed?.(name, tensor);
  if (!sinks) throw unreadable(path, "is in a compact form, must be plain here");
  // The scales come before the values, so that values can be decoded as they arrive.
  if (indices && sinks.indices) yield* pour(indices, sinks.indices);
  if (scale && sinks.scale) yield* pour(scale, sinks.scale);
  yield* pour(values, sinks.values);
}

/**
 * Reads a tensor in any dense form as float32: nested numbers, or `{dtype, shape, base64}`. Floats are
 * rounded to the nearest float32; integers that float32 cannot hold are refused.
 *
 * Errors: invalid_request, shape_mismatch, invalid_number, as in {@link writeTensors}.
 */
export function readTensor(value: unknown, path: string): FlatTensor {
  if (!isObject(value)) return flatten(value, path);
  const source = base64Source(value, path);
  const bytes = new Uint8Array(elementCount(source.shape) * WIRE_DTYPES[source.dtype]);
  let at = 0;
  for (const piece of source.pieces()) {
    bytes.set(piece, at);
    at += piece.length;
  }
  const shape = [...source.shape], { dtype } = source;
  if (!isInteger(dtype)) {
    const values = AS_FLOAT32[dtype](bytes.buffer);
    if (dtype === "F64") checkHeld(new Float64Array(bytes.buffer), values, `${path}.base64`);
    return { shape, values };
  }
  const values = new Float32Array(elementCount(shape));
  const inexact = writeIntegers(dtype, bytes, values);
  if (inexact) throw unreadable(path, showInexact(inexact, { dtype, shape }), "invalid_number");
  return { shape, values };
}

/** Throws invalid_number for the first number that became an infinity. */
function checkHeld(given: Float64Array, values: Float32Array, path: string): void {
  const index = values.findIndex((value, at) => value !== given[at] && Math.abs(value) === Infinity);
  if (index < 0) return;
  throw unreadable(
    path,
    `has ${given[index]} at element ${index}, must be within float32's range, ±3.4028235e38`,
    "invalid_number",
  );
}

/** Converts little-endian elements to float32. */
const AS_FLOAT32: Readonly<
  Record<Exclude<WireDtype, IntegerDtype>, (bytes: ArrayBuffer) => Float32Array<ArrayBuffer>>
> = {
  F32: (bytes) => new Float32Array(bytes),
  F16: (bytes) => Float32Array.from(new Float16Array(bytes)),
  BF16: (bytes) => new Float32Array(Uint32Array.from(new Uint16Array(bytes), (bits) => bits << 16).buffer),
  F64: (bytes) => Float32Array.from(new Float64Array(bytes)),
};

function* pour(
  source: TensorSource,
  sink: { write(bytes: Uint8Array): void; close(): void },
): Generator<number> {
  for (const piece of source.pieces()) {
    sink.write(piece);
    yield piece.length;
  }
  sink.close();
}
