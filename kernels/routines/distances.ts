/**
 * Squared Euclidean distances between vectors, each made of one or several tensors.
 *
 * Definition: differences, squares and sums are float64, tensor by tensor, in the order of every reduction
 * (interpret.ts): blocks of BLOCK elements, each with 16 accumulators and the rest. No square overflows or
 * underflows. A NaN, or the same infinity in both vectors, makes the sum NaN.
 */
import type { Arena } from "../arena.ts";
import { BLOCK, GROUP } from "../compiler/interpret.ts";
import {
  assemble,
  type Code,
  F64,
  f64,
  f64x2,
  I32,
  i32,
  local,
  V128,
  v128,
  whileLoop,
} from "../wasm/wasm.ts";

/** One tensor of the vectors: its element count, and the place of each vector's values. */
export interface VectorPart {
  readonly count: number;
  /** Byte offset of the float32 values by vector. */
  readonly offsets: readonly number[];
}

let module: WebAssembly.Module | undefined;

/** The squared distance of each pair of vectors. All pairs are computed for a block while it is in cache. */
export function squaredDistances(
  arena: Arena,
  parts: readonly VectorPart[],
  pairs: readonly (readonly [number, number])[],
): Float64Array {
  module ??= new WebAssembly.Module(emit());
  const kernel = arena.kernel(module);
  const sums = new Float64Array(pairs.length);
  for (const { count, offsets } of parts) {
    for (let first = 0; first < count; first += BLOCK) {
      const size = Math.min(BLOCK, count - first);
      pairs.forEach(([a, b], n) => {
        const sum = kernel((offsets[a] as number) + 4 * first, (offsets[b] as number) + 4 * first, size);
        sums[n] = (sums[n] as number) + (sum as number);
      });
    }
  }
  return sums;
}

/** kernel(a, b, count): the sum over one block. */
function emit(): Uint8Array<ArrayBuffer> {
  const a = 0, b = 1, count = 2, rest = 3, difference = 4, sums = 5;
  const { get, set } = local;
  const bump = (index: number, by: number) => set(index, i32.add(get(index), i32.const(by)));
  const advance = (elements: number): Code => [
    ...bump(a, 4 * elements),
    ...bump(b, 4 * elements),
    ...bump(count, -elements),
  ];
  const subtract = (load: (address: Code) => Code): Code =>
    set(difference, f64x2.sub(f64x2.promoteLowF32x4(load(get(a))), f64x2.promoteLowF32x4(load(get(b)))));
  const square = f64x2.mul(get(difference), get(difference));
  const two = (n: number): Code => [
    ...subtract((address) => v128.load64zero(8 * n, address)),
    ...set(sums + n, f64x2.add(get(sums + n), square)),
  ];
  const one: Code = [
    ...subtract((address) => v128.load32zero(0, address)),
    ...set(rest, f64.add(get(rest), f64x2.extract(0, square))),
  ];
  const sum = (from: number, wires: number): Code =>
    wires === 1 ? get(from) : f64x2.add(sum(from, wires / 2), sum(from + wires / 2, wires / 2));
  return assemble({
    parameters: [I32, I32, I32],
    results: [F64],
    locals: [F64, V128, ...Array<typeof V128>(GROUP / 2).fill(V128)],
    body: [
      ...whileLoop(i32.geu(get(count), i32.const(GROUP)), [
        ...[0, 1, 2, 3, 4, 5, 6, 7].flatMap(two),
        ...advance(GROUP),
      ]),
      ...whileLoop(get(count), [...one, ...advance(1)]),
      ...set(difference, sum(sums, GROUP / 2)),
      ...f64.add(f64.add(f64x2.extract(0, get(difference)), f64x2.extract(1, get(difference))), get(rest)),
    ],
    imports: [],
  });
}
