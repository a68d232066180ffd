/**
 * Order statistics (defined in order.ts) over more tensors than one kernel can sort. Tile by tile, the values of all
 * tensors are copied to scratch, one row per tensor, and the rows are sorted in blocks.
 *
 *     row 0       ┐
 *     …           │ block 0      a row is ROW elements; the rows after the last tensor
 *     row 31      ┘              hold +Infinity, before and after sorting
 *     row 32 …      block 1
 *
 * A sorting network with one wire per block sorts all rows if each of its comparators merges two sorted blocks and
 * leaves the lesser half in the lower one (Baudet and Stevenson 1978, "Optimal sorting algorithms for parallel
 * computers").
 */
import type { Arena, KernelFunction } from "../arena.ts";
import * as parts from "./order_parts.ts";
import { type Comparator, mergingNetwork, pruned, sortingNetwork } from "./sorting.ts";
import {
  assemble,
  type Code,
  F32,
  f32x4,
  f64x2,
  I32,
  i32,
  local,
  V128,
  v128,
  type ValueType,
  whileLoop,
} from "../wasm/wasm.ts";

/** Rows that one call sorts. */
const BLOCK = 32;
/** Elements per row: enough that calls cost little, and few enough that the tile stays in cache. */
const ROW = 128;
const ROW_BYTES = 4 * ROW;

const blocksOf = (inputCount: number) => Math.ceil(inputCount / BLOCK);

export function tileBytes(inputCount: number): number {
  return blocksOf(inputCount) * BLOCK * ROW_BYTES;
}

/** `meanOfRanks` for any number of tensors. */
export function sortInTiles(
  arena: Arena,
  { inputs, result, count, scratch, from, to }: parts.RankMean,
): void {
  const blocks = blocksOf(inputs.length);
  const load = kernelOf(arena, "load"), sort = kernelOf(arena, "sort");
  const merge = kernelOf(arena, "merge"), average = kernelOf(arena, "average");
  const row = (n: number) => scratch + n * ROW_BYTES;
  const network = sortingNetwork(blocks);
  arena.f32(row(inputs.length), (blocks * BLOCK - inputs.length) * ROW).fill(Infinity);
  for (let at = 0; at < 4 * count; at += ROW_BYTES) {
    const bytes = Math.min(ROW_BYTES, 4 * count - at);
    inputs.forEach((input, n) => load(input + at, row(n), bytes));
    for (let block = 0; block < blocks; block++) sort(row(block * BLOCK), 0, bytes);
    for (const { low, high } of network) merge(row(low * BLOCK), row(high * BLOCK), bytes);
    average(row(from), row(to), to - from, result + at, bytes);
  }
}

const EMITTERS = {
  load: emitLoad,
  sort: () => emitNetwork(BLOCK, sortingNetwork(BLOCK)),
  merge: () => emitNetwork(2 * BLOCK, mergingNetwork(BLOCK)),
  average: emitAverage,
};

const modules = new Map<string, WebAssembly.Module>();

function kernelOf(arena: Arena, name: keyof typeof EMITTERS): KernelFunction {
  let module = modules.get(name);
  if (!module) modules.set(name, module = new WebAssembly.Module(EMITTERS[name]()));
  return arena.kernel(module);
}

const { get, set } = local;
const bump = (index: number, by: number) => set(index, i32.add(get(index), i32.const(by)));
const kernel = (parameters: readonly ValueType[], locals: readonly ValueType[], body: Code) =>
  assemble({ parameters, results: [], locals, body, imports: [] });

/** kernel(source, target, bytes): copies the values, with NaN replaced by +Infinity. */
function emitLoad(): Uint8Array<ArrayBuffer> {
  const source = 0, target = 1, bytes = 2, end = 3, infinity = 4;
  const one = v128.store(0, get(target), parts.ordered(v128.load(0, get(source)), get(infinity)));
  return kernel([I32, I32, I32], [I32, V128], [
    ...set(infinity, v128.constF32(Infinity)),
    ...set(end, i32.add(get(source), get(bytes))),
    ...whileLoop(i32.ltu(get(source), get(end)), [...one, ...bump(source, 16), ...bump(target, 16)]),
  ]);
}

/** kernel(first row of a block, first row of another block, bytes): applies the network to their rows, in place. */
function emitNetwork(rows: number, network: readonly Comparator[]): Uint8Array<ArrayBuffer> {
  const low = 0, high = 1, bytes = 2, end = 3, spare = 4, wires = 5;
  const base = (row: number) => get(row < BLOCK ? low : high);
  const offset = (row: number) => row % BLOCK * ROW_BYTES;
  return kernel([I32, I32, I32], [I32, ...Array<typeof V128>(rows + 1).fill(V128)], [
    ...set(end, i32.add(get(low), get(bytes))),
    ...whileLoop(i32.ltu(get(low), get(end)), [
      ...parts.sorted(pruned(network, 0, rows), {
        first: wires,
        spare,
        load: (row) => v128.load(offset(row), base(row)),
        store: (row, value) => v128.store(offset(row), base(row), value),
      }),
      ...bump(low, 16),
      ...bump(high, 16),
    ]),
  ]);
}

/** kernel(first row, row after the last, number of rows, result, bytes) */
function emitAverage(): Uint8Array<ArrayBuffer> {
  const first = 0, behind = 1, rows = 2, result = 3, bytes = 4;
  const end = 5, row = 6, sums = { lower: 7, upper: 8 }, value = 9, count = 10;
  return kernel([I32, I32, F32, I32, I32], [I32, I32, V128, V128, V128, V128], [
    ...set(end, i32.add(get(first), get(bytes))),
    ...set(count, f64x2.promoteLowF32x4(f32x4.splat(get(rows)))),
    ...whileLoop(i32.ltu(get(first), get(end)), [
      ...set(row, get(first)),
      ...parts.clear(sums),
      ...whileLoop(i32.ltu(get(row), get(behind)), [
        ...set(value, v128.load(0, get(row))),
        ...parts.add(sums, get(value)),
        ...bump(row, ROW_BYTES),
      ]),
      ...v128.store(0, get(result), parts.quotient(sums, get(count), value)),
      ...bump(first, 16),
      ...bump(behind, 16),
      ...bump(result, 16),
    ]),
  ]);
}
