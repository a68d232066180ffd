/**
 * The names of element types on the wire, as tables. The arena converts their bytes to float32.
 *
 * Invariant: both tables contain every `WireDtype` of tensor.ts.
 */

import { WIRE_DTYPES, type WireDtype } from "../tensor.ts";

/** Bits per element of every type that a safetensors header may name, beyond the wire dtypes too. */
export const SAFETENSORS_BITS: ReadonlyMap<string, number> = new Map([
  ["F4", 4],
  ["F6_E2M3", 6],
  ["F6_E3M2", 6],
  ["BOOL", 8],
  ["U8", 8],
  ["I8", 8],
  ["F8_E4M3", 8],
  ["F8_E5M2", 8],
  ["F8_E8M0", 8],
  ["F8_E4M3FNUZ", 8],
  ["F8_E5M2FNUZ", 8],
  ["I16", 16],
  ["U16", 16],
  ["F16", 16],
  ["BF16", 16],
  ["I32", 32],
  ["U32", 32],
  ["F32", 32],
  ["I64", 64],
  ["U64", 64],
  ["F64", 64],
  ["C64", 64],
]);

/** The values of `dtype` for a base64 tensor in JSON. */
export const JSON_DTYPES: ReadonlyMap<unknown, WireDtype> = new Map<unknown, WireDtype>([
  ["float32", "F32"],
  ["float16", "F16"],
  ["bfloat16", "BF16"],
  ["float64", "F64"],
  ["int8", "I8"],
  ["int32", "I32"],
  ["int64", "I64"],
  ["uint8", "U8"],
  ["bool", "BOOL"],
]);

export function isWireDtype(dtype: string): dtype is WireDtype {
  return Object.hasOwn(WIRE_DTYPES, dtype);
}
