/**
 * The forms that a tensor has in a JSON body, into a target:
 *
 *     nested numbers | null | {dtype, shape, base64} | {indices, values}, each of those nested or base64
 *
 * Looks at form only: names, shapes and dtypes are for the target to take or refuse.
 */

import { StepwellError } from "../errors.ts";
import {
  elementCount,
  isShape,
  type Shape,
  showShape,
  type TensorTarget,
  WIRE_DTYPES,
  type WireDtype,
} from "../tensor.ts";
import { JSON_DTYPES } from "./dtypes.ts";
import { flatten, type FlatTensor, showValue } from "./json.ts";

/** A tensor whose form is known and whose bytes can be had, in pieces, once somebody wants them. */
interface TensorSource {
  readonly dtype: WireDtype;
  readonly shape: Shape;
  pieces(): Iterable<Uint8Array>;
}

/** Base64 letters at a time: decoded, they stay in the cache. A multiple of 4. */
const PIECE_LETTERS = 64 << 10;

/**
 * Every member of `tensors` into `target`, in their order: `null` as no gradient, the others as dense or sparse.
 * `path` names the place of the object in messages, as `gradients`.
 *
 * Errors: invalid_request for a form that is none of the above; shape_mismatch, invalid_number, dtype_mismatch,
 * index_out_of_range for what stands in it; what the target throws.
 */
export function writeTensors(tensors: unknown, target: TensorTarget, path: string): void {
  if (!isObject(tensors)) throw invalid(path, "must be an object of tensors by name");
  for (const [name, value] of Object.entries(tensors)) {
    writeTensor(name, value, { target, path: `${path}.${name}` });
  }
}

function writeTensor(
  name: string,
  value: unknown,
  { target, path }: { target: TensorTarget; path: string },
): void {
  if (value === null) return target.none(name);
  if (isObject(value) && ("indices" in value || "values" in value)) {
    checkKeys(value, ["indices", "values"], path);
    const indices = indexSource(value["indices"], `${path}.indices`);
    const values = tensorSource(value["values"], `${path}.values`);
    checkSparse(indices, values, path);
    const sinks = target.sparse(name, indices, values);
    pour(indices, sinks.indices);
    pour(values, sinks.values);
  } else {
    const source = tensorSource(value, path);
    pour(source, target.dense(name, source));
  }
}

/**
 * A float32 tensor in any dense form: nested numbers, or `{dtype: "float32", shape, base64}`.
 *
 * Errors: as {@link writeTensors}.
 */
export function readTensor(value: unknown, path: string): FlatTensor {
  if (!isObject(value)) return flatten(value, path);
  const source = base64Source(value, path);
  if (source.dtype !== "F32") throw invalid(`${path}.dtype`, `must be "float32" here`, "dtype_mismatch");
  const bytes = new Uint8Array(elementCount(source.shape) * 4);
  let at = 0;
  for (const piece of source.pieces()) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return { shape: [...source.shape], values: new Float32Array(bytes.buffer) };
}

/** What must hold between the halves of a sparse tensor, whatever body they came in. */
export function checkSparse(
  indices: { dtype: WireDtype; shape: Shape },
  values: { dtype: WireDtype; shape: Shape },
  path: string,
): void {
  if (indices.dtype !== "I32" && indices.dtype !== "I64") {
    throw invalid(path, `has indices of dtype ${indices.dtype}, must have I32 or I64`, "dtype_mismatch");
  }
  if (indices.shape.length !== 1 || values.shape[0] !== indices.shape[0]) {
    const problem = `has indices of shape ${showShape(indices.shape)} and values of shape ` +
      `${showShape(values.shape)}, must have [rows] and [rows, …]`;
    throw invalid(path, problem, "shape_mismatch");
  }
}

function pour(source: TensorSource, sink: { write(bytes: Uint8Array): void; close(): void }): void {
  for (const piece of source.pieces()) sink.write(piece);
  sink.close();
}

function tensorSource(value: unknown, path: string): TensorSource {
  if (isObject(value)) return base64Source(value, path);
  const { shape, values } = flatten(value, path);
  return { dtype: "F32", shape, pieces: () => [new Uint8Array(values.buffer)] };
}

function indexSource(value: unknown, path: string): TensorSource {
  if (isObject(value)) return base64Source(value, path);
  if (!Array.isArray(value)) throw invalid(path, "must be an array of integers or a base64 tensor");
  const indices = new Int32Array(value.length);
  for (let i = 0; i < value.length; i++) {
    const index: unknown = value[i];
    if (!Number.isInteger(index)) {
      throw invalid(
        `${path}.${i}`,
        `is ${showValue(index)}, must be an integer`,
        "invalid_number",
      );
    }
    indices[i] = index as number;
    // No variable has 2^31 rows: its bytes would not fit into an arena.
    if (indices[i] !== index) {
      throw invalid(`${path}.${i}`, `is ${index}, must be below 2^31`, "index_out_of_range");
    }
  }
  return { dtype: "I32", shape: [value.length], pieces: () => [new Uint8Array(indices.buffer)] };
}

function base64Source(value: Record<string, unknown>, path: string): TensorSource {
  checkKeys(value, ["dtype", "shape", "base64"], path);
  const { shape, base64 } = value;
  const dtype = JSON_DTYPES.get(value["dtype"]);
  if (!dtype) throw invalid(`${path}.dtype`, `must be one of ${[...JSON_DTYPES.keys()].join(", ")}`);
  if (!Array.isArray(shape) || !isShape(shape)) {
    throw invalid(`${path}.shape`, "must be an array of integers from 0");
  }
  if (typeof base64 !== "string") throw invalid(`${path}.base64`, "must be a string");
  const bytes = elementCount(shape) * WIRE_DTYPES[dtype];
  const letters = Math.ceil(bytes / 3) * 4;
  if (base64.length !== letters) {
    const problem = `has ${base64.length} letters, must have ${letters} for ${value["dtype"]} ${
      showShape(shape)
    }`;
    throw invalid(`${path}.base64`, problem, "shape_mismatch");
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
      // Not base64: reported below, as is white space, which the decoder would skip.
    }
    if (written !== wanted) throw invalid(path, `is not base64 with padding near letter ${at}`);
    yield piece.subarray(0, written);
  }
}

function checkKeys(value: Record<string, unknown>, keys: readonly string[], path: string): void {
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined) {
    throw invalid(`${path}.${unknown}`, `is unknown, must be one of ${keys.join(", ")}`);
  }
  const missing = keys.find((key) => !Object.hasOwn(value, key));
  if (missing !== undefined) throw invalid(`${path}.${missing}`, "is missing");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(
  path: string,
  problem: string,
  code: "invalid_request" | "invalid_number" | "shape_mismatch" | "dtype_mismatch" | "index_out_of_range" =
    "invalid_request",
): StepwellError {
  return new StepwellError(code, `Cannot read ${path}: it ${problem}`, [{ path, message: problem }]);
}
