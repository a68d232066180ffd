/**
 * Order statistics over several tensors, element by element: medians and trimmed means.
 *
 * Definition: for each element, the tensors' values are sorted, with NaN as +Infinity and -0 as +0. The values at the
 * ranks from..to-1 are added in float64 from the least to the greatest. The sum is divided by their number and
 * rounded to float32 once; a subnormal result becomes zero of the same sign. The order of the tensors changes no bit.
 *
 * The kernel is a sorting network over four elements at a time, with all values in locals and one module for each
 * number of tensors and ranks. Larger numbers of tensors are sorted tile by tile (order_tiles.ts).
 */
import type { Arena } from "../arena.ts";
import { BoundedMap } from "../bounded_map.ts";
import * as parts from "./order_parts.ts";
import { sortInTiles, tileBytes } from "./order_tiles.ts";
import { pruned, sortingNetwork } from "./sorting.ts";
import { assemble, type Code, I32, i32, local, V128, v128, whileLoop } from "../wasm/wasm.ts";

/** The most tensors that one kernel sorts; more would take long to compile. */
const DIRECT_MAX = 128;

/** Bytes of scratch that {@link meanOfRanks} needs for `inputCount` tensors. */
export function scratchBytes(inputCount: number): number {
  return inputCount > DIRECT_MAX ? tileBytes(inputCount) : 4 * inputCount;
}

/** Writes, element by element, the mean of the values at the ranks from..to-1. */
export function meanOfRanks(arena: Arena, at: parts.RankMean): void {
  const { inputs, result, count, scratch, from, to } = at;
  if (inputs.length > DIRECT_MAX) {
    sortInTiles(arena, at);
    return;
  }
  arena.i32(scratch, inputs.length).set(inputs);
  arena.kernel(moduleOf(inputs.length, from, to))(scratch, result, 4 * count);
}

/** Compiled modules by number of tensors and ranks. An evicted module is compiled again when it is needed. */
const modules = new BoundedMap<string, WebAssembly.Module>(64);

function moduleOf(inputCount: number, from: number, to: number): WebAssembly.Module {
  const key = `${inputCount} ${from} ${to}`;
  let module = modules.get(key);
  if (!module) {
    module = new WebAssembly.Module(emit(inputCount, from, to));
    modules.set(key, module);
  }
  return module;
}

/** kernel(offsets of the inputs, result, bytes) */
function emit(inputCount: number, from: number, to: number): Uint8Array<ArrayBuffer> {
  const inputs = 0, result = 1, bytes = 2;
  const at = 3, infinity = 4, sums = { lower: 5, upper: 6 }, spare = 7, wires = 8;
  const { get, set } = local;
  const load = (n: number): Code => {
    const value = v128.load(0, i32.add(i32.load(4 * n, get(inputs)), get(at)));
    return parts.ordered(value, get(infinity));
  };
  const ranks = Array.from({ length: to - from }, (_, n) => wires + from + n);
  const body: Code[] = [
    inputCount === 1
      ? set(wires, load(0))
      : parts.sorted(pruned(sortingNetwork(inputCount), from, to), { first: wires, spare, load }),
    parts.clear(sums),
    ...ranks.map((wire) => parts.add(sums, get(wire))),
    v128.store(0, i32.add(get(result), get(at)), parts.quotient(sums, v128.constF64(to - from), spare)),
    set(at, i32.add(get(at), i32.const(16))),
  ];
  return assemble({
    parameters: [I32, I32, I32],
    results: [],
    locals: [I32, ...Array<typeof V128>(inputCount + 4).fill(V128)],
    body: [
      ...set(infinity, v128.constF32(Infinity)),
      ...whileLoop(i32.ltu(get(at), get(bytes)), body.flat()),
    ],
    imports: [],
  });
}
