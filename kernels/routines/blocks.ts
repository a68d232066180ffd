/**
 * Decoding of int8 blocks, each with a float32 scale, to float32: element i is float32(values[i]) ×
 * scales[floor(i / block)], with one rounding. Subnormal products are kept, unlike in formulas, because decoding must
 * preserve what the client sent.
 *
 *     kernel(rowCount, rowLength, values, scales, target): a row is a block or a part of one
 */
import type { Arena } from "../arena.ts";
import {
  assemble,
  type Code,
  f32,
  f32x4,
  i16x8,
  I32,
  i32,
  i32x4,
  local,
  V128,
  v128,
  whileLoop,
} from "../wasm/wasm.ts";

/** Elements per 16-byte load. */
const GROUP = 16;

function emit(): Uint8Array<ArrayBuffer> {
  const rows = 0, rowLength = 1, values = 2, scales = 3, target = 4;
  const left = 5, scale = 6, bytes = 7, half = 8;
  const { get, set } = local;
  const bump = (index: number, by: number) => set(index, i32.add(get(index), i32.const(by)));
  const advance = (elements: number): Code => [
    ...bump(values, elements),
    ...bump(target, 4 * elements),
    ...bump(left, -elements),
  ];
  const storeFour = (group: number, integers: Code) =>
    v128.store(16 * group, get(target), f32x4.mul(f32x4.convertI32s(integers), get(scale)));
  const storeEight = (group: number, eight: Code): Code => [
    ...set(half, eight),
    ...storeFour(group, i32x4.extendLow16s(get(half))),
    ...storeFour(group + 1, i32x4.extendHigh16s(get(half))),
  ];
  const group: Code = [
    ...set(bytes, v128.load(0, get(values))),
    ...storeEight(0, i16x8.extendLow8s(get(bytes))),
    ...storeEight(2, i16x8.extendHigh8s(get(bytes))),
  ];
  const one = f32.store(
    0,
    get(target),
    f32.mul(f32.convertI32s(i32.load8s(0, get(values))), f32.load(0, get(scales))),
  );
  const body = whileLoop(get(rows), [
    ...set(left, get(rowLength)),
    ...set(scale, v128.load32splat(0, get(scales))),
    ...whileLoop(i32.geu(get(left), i32.const(GROUP)), [...group, ...advance(GROUP)]),
    ...whileLoop(get(left), [...one, ...advance(1)]),
    ...bump(scales, 4),
    ...bump(rows, -1),
  ]);
  return assemble({
    parameters: Array(5).fill(I32),
    results: [],
    locals: [I32, V128, V128, V128],
    body,
    imports: [],
  });
}

let module: WebAssembly.Module | undefined;

/** The place of a tensor in blocks. `block` is the number of elements per scale; the others are byte offsets. */
export interface Blocks {
  readonly values: number;
  readonly scales: number;
  readonly target: number;
  readonly block: number;
}

/** Writes the elements `from` to `to` (exclusive) of a tensor as float32. */
export function decodeBlocks(arena: Arena, at: Blocks, from: number, to: number): void {
  module ??= new WebAssembly.Module(emit());
  const kernel = arena.kernel(module);
  for (let element = from; element < to;) {
    const index = Math.floor(element / at.block);
    // One call decodes all whole blocks; a partial block before or after them takes a call of its own.
    const whole = element === index * at.block ? Math.floor((to - element) / at.block) : 0;
    const rows = Math.max(whole, 1);
    const length = whole > 0 ? at.block : Math.min((index + 1) * at.block, to) - element;
    kernel(rows, length, at.values + element, at.scales + 4 * index, at.target + 4 * element);
    element += rows * length;
  }
}
