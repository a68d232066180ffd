/**
 * Code that loads an element, or four, of any type as float32. Conversions of 16-bit floats are integer arithmetic,
 * exact for every bit pattern, subnormals included.
 */
import { type Code, f32x4, i32, i32x4, local, v128 } from "../wasm/wasm.ts";
import { ELEMENT_BYTES, type ElementType } from "./pass.ts";

interface Loaded {
  readonly type: ElementType;
  readonly address: Code;
  /** Index of the element from the address on. */
  readonly element: number;
  /** 1: one element in lane 0. */
  readonly width: 1 | 4;
  /** A local that may be overwritten. */
  readonly scratch: number;
  readonly constant: (vector: Code) => Code;
}

export function emitLoad({ type, address, element, width, scratch, constant }: Loaded): Code {
  const offset = element * ELEMENT_BYTES[type];
  if (type === "f32") return width === 4 ? v128.load(offset, address) : v128.load32zero(offset, address);
  if (type === "f64") {
    const half = (at: number) => f32x4.demoteF64x2Zero(v128.load(at, address));
    return width === 4
      ? v128.shuffle32(half(offset), half(offset + 16), [0, 1, 4, 5])
      : f32x4.demoteF64x2Zero(v128.load64zero(offset, address));
  }
  const halves = width === 4 ? v128.load64zero(offset, address) : i32x4.splat(i32.load16u(offset, address));
  if (type === "bf16") return decodeBf16(halves);
  return [
    ...local.set(scratch, i32x4.extendLow16u(halves)),
    ...decodeF16(local.get(scratch), constant),
  ];
}

/** `halves` holds the four bfloat16 values in its lower half. */
function decodeBf16(halves: Code): Code {
  return i32x4.shl(i32x4.extendLow16u(halves), i32.const(16));
}

/**
 * Rebiases the exponents, then selects infinities and subnormals. `h` holds one float16 per lane and is cheap to
 * repeat. `constant` keeps a vector in a local for all elements, which makes decoding twice as fast.
 */
function decodeF16(h: Code, constant: (vector: Code) => Code): Code {
  const integer = (value: number) => constant(v128.constI32(value));
  const magnitude = v128.and(h, integer(0x7fff));
  const sign = i32x4.shl(v128.and(h, integer(0x8000)), i32.const(16));
  const rebiased = i32x4.add(i32x4.shl(magnitude, i32.const(13)), integer(112 << 23));
  const infinite = i32x4.add(rebiased, integer(112 << 23));
  const subnormal = f32x4.mul(f32x4.convertI32s(magnitude), constant(v128.constF32(2 ** -24)));
  const finite = v128.bitselect(infinite, rebiased, i32x4.gts(magnitude, integer(0x7bff)));
  return v128.or(sign, v128.bitselect(subnormal, finite, i32x4.lts(magnitude, integer(0x400))));
}
