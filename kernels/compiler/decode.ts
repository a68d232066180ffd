/**
 * Conversion of four 16-bit floats to four float32 in integer arithmetic. Exact for every bit pattern, subnormals
 * included.
 */
import { type Code, f32x4, i32, i32x4, v128 } from "../wasm/wasm.ts";

/** `halves` holds the four bfloat16 values in its lower half. */
export function decodeBf16(halves: Code): Code {
  return i32x4.shl(i32x4.extendLow16u(halves), i32.const(16));
}

/**
 * Rebiases the exponents, then selects infinities and subnormals. `h` holds one float16 per lane and is cheap to
 * repeat. `constant` keeps a vector in a local for all elements, which makes decoding twice as fast.
 */
export function decodeF16(h: Code, constant: (vector: Code) => Code): Code {
  const integer = (value: number) => constant(v128.constI32(value));
  const magnitude = v128.and(h, integer(0x7fff));
  const sign = i32x4.shl(v128.and(h, integer(0x8000)), i32.const(16));
  const rebiased = i32x4.add(i32x4.shl(magnitude, i32.const(13)), integer(112 << 23));
  const infinite = i32x4.add(rebiased, integer(112 << 23));
  const subnormal = f32x4.mul(f32x4.convertI32s(magnitude), constant(v128.constF32(2 ** -24)));
  const finite = v128.bitselect(infinite, rebiased, i32x4.gts(magnitude, integer(0x7bff)));
  return v128.or(sign, v128.bitselect(subnormal, finite, i32x4.lts(magnitude, integer(0x400))));
}
