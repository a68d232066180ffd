/**
 * Float32 numbers of a run on their way from one memory to another. As integers, because a float that JavaScript reads
 * and writes may lose the bits of a NaN.
 */
import type { Arena } from "../../../kernels/arena.ts";

/** Up to so many, a loop is faster than making two views. */
const LOOP_COUNT_MAX = 64;

/** All of an arena; valid until it grows. */
export function wordsOf(arena: Arena): Int32Array<ArrayBuffer> {
  return arena.i32(0, arena.bytesReserved / 4);
}

/** Copies `count` numbers. Places are counted in numbers, not bytes. */
export function copyWords(
  source: Int32Array,
  from: number,
  { target, to, count }: { readonly target: Int32Array; readonly to: number; readonly count: number },
): void {
  if (count > LOOP_COUNT_MAX) target.set(source.subarray(from, from + count), to);
  else for (let n = 0; n < count; n++) target[to + n] = source[from + n] as number;
}
