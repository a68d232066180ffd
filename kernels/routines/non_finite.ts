/**
 * Counting of numbers that are not finite: NaN and infinities, whose exponent has all bits set. The law is
 * `Number.isFinite` of each element.
 */
import type { Arena } from "../arena.ts";
import { EXPONENT_BITS } from "../compiler/stores.ts";
import { assemble, type Code, I32, i32, i32x4, local, V128, v128, whileLoop } from "../wasm/wasm.ts";

let module: WebAssembly.Module | undefined;

/** The count of NaN and infinities among `count` float32 elements at byte offset `source`. */
export function countNonFinite(arena: Arena, source: number, count: number): number {
  module ??= new WebAssembly.Module(emit());
  return arena.kernel(module)(source, count) as number;
}

/** kernel(source, count): four lanes count down, because a mask is −1; the rest follows one by one. */
function emit(): Uint8Array<ArrayBuffer> {
  const source = 0, count = 1, found = 2, counted = 3;
  const { get, set } = local;
  const advance = (elements: number): Code => [
    ...set(source, i32.add(get(source), i32.const(4 * elements))),
    ...set(count, i32.sub(get(count), i32.const(elements))),
  ];
  const exponents = v128.constI32(EXPONENT_BITS);
  const four = i32x4.eq(v128.and(v128.load(0, get(source)), exponents), exponents);
  const one = i32.eq(
    i32.and(i32.load(0, get(source)), i32.const(EXPONENT_BITS)),
    i32.const(EXPONENT_BITS),
  );
  const lanes = [0, 1, 2, 3].map((lane) => i32x4.extract(lane, get(counted)));
  return assemble({
    parameters: [I32, I32],
    results: [I32],
    locals: [I32, V128],
    body: [
      ...whileLoop(i32.geu(get(count), i32.const(4)), [
        ...set(counted, i32x4.add(get(counted), four)),
        ...advance(4),
      ]),
      ...whileLoop(get(count), [...set(found, i32.add(get(found), one)), ...advance(1)]),
      ...lanes.reduce((total, lane) => i32.sub(total, lane), get(found)),
    ],
    imports: [],
  });
}
