/**
 * A region of an arena for float32 values that are received in any dtype, and the sinks that fill it.
 *
 * It allocates memory but knows no run. Values that are not float32 need further memory: for a window at a time, or
 * for all received bytes if they are kept. Blocks of int8 are always kept, because their scales may come after them.
 */
import type { Arena } from "../../../kernels/arena.ts";
import { ELEMENT_BYTES, type ElementType } from "../../../kernels/compiler/pass.ts";
import {
  type ByteSink,
  elementCount,
  type PackedTensor,
  WIRE_DTYPES,
  type WireDtype,
  type WireScale,
} from "../../tensor.ts";
import { blockSinks } from "./packed_sinks.ts";
import { floatSink, windowBytes } from "./sinks.ts";

/** The place of values as they were received: the float32 values, or the narrower bytes beside them. */
export interface WireBytes {
  readonly dtype: "F32" | "F16" | "BF16" | "I8";
  readonly offset: number;
  /** I8 only: the byte offset and count of the scales, and the number of elements per scale. */
  readonly scale?: { readonly offset: number; readonly count: number; readonly block: number };
}

export interface FloatRegion {
  /** Byte offset of `count` float32 values. */
  readonly values: number;
  readonly count: number;
  readonly wire: WireBytes;
  readonly sinks: { readonly values: ByteSink; readonly scale?: ByteSink };
}

const FLOATS: Readonly<Partial<Record<WireDtype, ElementType>>> = {
  F32: "f32",
  F16: "f16",
  BF16: "bf16",
  F64: "f64",
};

/** Whether {@link floatRegion} takes values of this dtype. */
export function isFloat({ values: { dtype }, scale }: Pick<PackedTensor, "values" | "scale">): boolean {
  return scale ? dtype === "I8" : FLOATS[dtype] !== undefined;
}

/**
 * Tensors of this size and larger do not stay in the caches: values copied to their place would have to be read from
 * memory again for their squares. A kernel that copies them from a hot window adds up squares while it waits for
 * stores.
 */
export const LARGE_COUNT = 2 ** 19;

interface Place {
  readonly arena: Arena;
  readonly allocate: (bytes: number) => number;
  /** Whether to keep the received bytes of values narrower than float32. */
  readonly keepsBytes: boolean;
  readonly name: string;
  readonly count: number;
  /** Called with a float64 number that became an infinity, and its place; may throw. */
  readonly overflowed?: ((value: number, index: number) => void) | undefined;
}

/** `whole` is called with the sum of squares once all values are there. */
export function floatRegion(
  place: Place,
  { values: { dtype }, scale }: Pick<PackedTensor, "values" | "scale">,
  whole: (squares: number) => void,
): FloatRegion {
  if (scale) return blockRegion(place, scale, whole);
  const { arena, allocate, name, count, overflowed } = place;
  const type = FLOATS[dtype] as ElementType;
  const keeps = place.keepsBytes && (type === "f16" || type === "bf16");
  const target = allocate(4 * count);
  const bytes = keeps ? count * ELEMENT_BYTES[type] : windowBytes(type, count);
  const buffer = type === "f32" && count < LARGE_COUNT ? target : allocate(bytes);
  const sink = floatSink({ arena, name, type, buffer, keeps, target, count, overflowed }, whole);
  const wire: WireBytes = keeps
    ? { dtype: type === "f16" ? "F16" : "BF16", offset: buffer }
    : { dtype: "F32", offset: target };
  return { values: target, count, wire, sinks: { values: sink } };
}

function blockRegion(
  { arena, allocate, name, count }: Place,
  scale: WireScale,
  whole: (squares: number) => void,
): FloatRegion {
  const target = allocate(4 * count), values = allocate(count);
  const scaleCount = elementCount(scale.shape), scales = allocate(scaleCount * WIRE_DTYPES.F32);
  const { block } = scale;
  const sinks = blockSinks({ arena, name, values, scales, target, block, count, scaleCount }, whole);
  const wire: WireBytes = {
    dtype: "I8",
    offset: values,
    scale: { offset: scales, count: scaleCount, block },
  };
  return { values: target, count, wire, sinks };
}
