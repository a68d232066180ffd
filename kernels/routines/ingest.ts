/**
 * Decoding of received gradients: any float type → float32, with the sum of squares in the same pass while the bytes
 * are in cache. If the sum is finite, so is every element; a sum that is not finite may also come from finite
 * elements above 1.8e19.
 *
 * Sums over blocks of BLOCK elements, added in order, equal the reduction over the whole tensor.
 */
import type { Arena } from "../arena.ts";
import { type Kernel, Program } from "../compiler/compile.ts";
import type { ElementType } from "../compiler/pass.ts";

const squares = new Program(["n = norm(g)"], { tensors: ["g"], stored: [], uniforms: [] }).kernel();
/** Unwatched: the sum tells what is not finite. */
const decode = new Program(["x = g", "n = norm(g)"], {
  tensors: ["g", "x"],
  stored: ["x"],
  uniforms: [],
  isWatched: false,
});
/** Looked up once: a block takes a microsecond, and so would the lookup of its layout. */
const decoders = {
  f32: decode.kernel(),
  f16: decode.kernel({ g: { type: "f16" } }),
  bf16: decode.kernel({ g: { type: "bf16" } }),
  f64: decode.kernel({ g: { type: "f64" } }),
} satisfies Record<ElementType, Kernel>;

/** Float64 sum of squares of `count` float32 elements at byte offset `source`. */
export function sumSquares(arena: Arena, source: number, count: number): number {
  return arena.kernel(squares.module(0))(1, count, 0, source) as number;
}

/** Writes `count` elements of `type` as float32 to byte offset `target`; returns the sum of squares. */
export function decodeElements(
  arena: Arena,
  at: { source: number; type: ElementType; target: number; count: number },
): number {
  return arena.kernel(decoders[at.type].module(0))(1, at.count, 0, at.source, at.target) as number;
}

/** Float64 sums of squares of tensors that lie one after the other from byte offset `source` on, of up to a block each. */
export function squaresOfEach(
  arena: Arena,
  source: number,
  tensors: readonly { readonly count: number }[],
): Float64Array {
  const kernel = arena.kernel(squares.module(0));
  const sums = new Float64Array(tensors.length);
  let at = source;
  for (let index = 0; index < tensors.length; index++) {
    const { count } = tensors[index] as { count: number };
    sums[index] = kernel(1, count, 0, at) as number;
    at += 4 * count;
  }
  return sums;
}
