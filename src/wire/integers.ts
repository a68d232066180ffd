/**
 * Integers and booleans as float32: only those that float32 holds exactly. The arena's kernels convert floats; these
 * are rare, such as the counts of batch normalization.
 */
import { placeOf, type Shape, showShape, type WireDtype } from "../tensor.ts";

export type IntegerDtype = "I8" | "U8" | "I32" | "I64" | "BOOL";

/** An element that float32 cannot hold, or a boolean that is neither 0 nor 1. */
export interface Inexact {
  readonly index: number;
  readonly value: string;
}

const INTEGERS: ReadonlySet<WireDtype> = new Set<IntegerDtype>(["I8", "U8", "I32", "I64", "BOOL"]);

export function isInteger(dtype: WireDtype): dtype is IntegerDtype {
  return INTEGERS.has(dtype);
}

/**
 * Writes the elements of `bytes` into `values`, which has their count. Returns the first one that float32 cannot
 * hold; then the rest is not written.
 */
export function writeIntegers(
  dtype: IntegerDtype,
  bytes: Uint8Array,
  values: Float32Array,
): Inexact | undefined {
  if (dtype === "I8") return void values.set(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length));
  if (dtype === "U8") return void values.set(bytes);
  if (dtype === "BOOL") {
    const index = bytes.findIndex((byte) => byte > 1);
    if (index >= 0) return { index, value: String(bytes[index]) };
    return void values.set(bytes);
  }
  const words = new Int32Array(bytes.slice().buffer);
  return dtype === "I32" ? writeWords(words, values) : writePairs(words, values);
}

function writeWords(words: Int32Array, values: Float32Array): Inexact | undefined {
  values.set(words);
  const index = words.findIndex((word, at) => values[at] !== word);
  return index < 0 ? undefined : { index, value: String(words[index]) };
}

/** Little-endian pairs of words. */
function writePairs(words: Int32Array, values: Float32Array): Inexact | undefined {
  for (let at = 0; at < values.length; at++) {
    const low = words[2 * at]! >>> 0, high = words[2 * at + 1]!;
    const sum = high * 2 ** 32 + low;
    values[at] = sum;
    // From 2^53 on the sum itself may be rounded: bits below float32's digits of the high word are then lost.
    const isExact = values[at] === sum && (Math.abs(sum) < 2 ** 53 || sum - high * 2 ** 32 === low);
    if (!isExact) return { index: at, value: String((BigInt(high) << 32n) + BigInt(low)) };
  }
  return undefined;
}

/** An inexact element in words, for messages. */
export function showInexact(
  { index, value }: Inexact,
  { dtype, shape }: { readonly dtype: IntegerDtype; readonly shape: Shape },
): string {
  const must = dtype === "BOOL" ? "must hold 0 or 1" : "must hold integers that float32 holds exactly";
  return `holds ${value} at ${showShape(placeOf(index, shape))}, ${must}`;
}
