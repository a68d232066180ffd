/**
 * The fields that describe compact forms (PackedTensor in tensor.ts), and checks of a tensor's parts against each
 * other, for all kinds of body. Knows no variable: the target accepts or refuses names and shapes.
 */
import { elementCount, type PackedTensor, sameShape, showShape } from "../tensor.ts";
import { tryParseJson } from "./parse_json.ts";
import { METADATA } from "./safetensors_header.ts";
import { unreadable } from "./unreadable.ts";

/** The default number of int8 values that share a scale. */
export const BLOCK_DEFAULT = 64;

/** The part of `__metadata__` about compact forms. */
export interface Packing {
  readonly block: number;
  /** Whether this tensor's indices are those of elements, not rows. */
  isFlat(name: string): boolean;
}

/** The keys that {@link readPacking} reads. */
export const PACKING_KEYS: ReadonlySet<string> = new Set(["block", "flat"]);

/**
 * Reads `block`, an integer from 1 as text, and `flat`, a JSON array of tensor names, or `*` for all tensors with
 * indices. `withIndices` are the names of those.
 *
 * Errors: invalid_request for other text, and for a name that is not among `withIndices`.
 */
export function readPacking(
  metadata: ReadonlyMap<string, string>,
  withIndices: ReadonlySet<string>,
): Packing {
  const block = metadata.get("block") ?? String(BLOCK_DEFAULT), flat = metadata.get("flat") ?? "[]";
  const names = flat === "*" ? withIndices : namesOf(flat);
  const strange = [...names].find((name) => !withIndices.has(name));
  if (strange !== undefined) {
    const problem = `names ${JSON.stringify(strange)}, which has no indices in this body`;
    throw unreadable(`${METADATA}.flat`, problem);
  }
  return {
    block: checkBlock(/^\d+$/.test(block) ? Number(block) : block, `${METADATA}.block`),
    isFlat: (name) => names.has(name),
  };
}

function namesOf(text: string): ReadonlySet<string> {
  const names = tryParseJson(text);
  if (Array.isArray(names) && names.every((name) => typeof name === "string")) return new Set(names);
  throw unreadable(`${METADATA}.flat`, "must be * or a JSON array of names");
}

/** Returns the length of a block. Throws invalid_request unless it is an integer from 1. */
export function checkBlock(block: unknown, path: string): number {
  if (Number.isSafeInteger(block) && (block as number) >= 1) return block as number;
  throw unreadable(path, "must be an integer from 1");
}

/**
 * Checks the dtypes and shapes of a tensor's parts against each other.
 *
 * Errors: dtype_mismatch, shape_mismatch.
 */
export function checkParts({ values, scale, indices, flat }: PackedTensor, path: string): void {
  if (indices) {
    if (indices.dtype !== "I32" && indices.dtype !== "I64") {
      throw unreadable(path, `has indices of dtype ${indices.dtype}, must have I32 or I64`, "dtype_mismatch");
    }
    const fits = indices.shape.length === 1 &&
      (flat ? sameShape(values.shape, indices.shape) : values.shape[0] === indices.shape[0]);
    if (!fits) {
      const problem = `has indices of shape ${showShape(indices.shape)} and values of shape ` +
        `${showShape(values.shape)}, must have ${flat ? "[n] and [n]: it is flat" : "[rows] and [rows, …]"}`;
      throw unreadable(path, problem, "shape_mismatch");
    }
  }
  if (!scale) return;
  if (values.dtype !== "I8") {
    throw unreadable(path, `has a scale and values of dtype ${values.dtype}, must have I8`, "dtype_mismatch");
  }
  if (scale.dtype !== "F32") {
    throw unreadable(path, `has a scale of dtype ${scale.dtype}, must have F32`, "dtype_mismatch");
  }
  const count = elementCount(values.shape);
  const wanted = [Math.ceil(count / scale.block)];
  if (!sameShape(scale.shape, wanted)) {
    const problem = `has a scale of shape ${showShape(scale.shape)}, must have ${showShape(wanted)}: ` +
      `one for each block of ${scale.block} of its ${count} values`;
    throw unreadable(path, problem, "shape_mismatch");
  }
}
