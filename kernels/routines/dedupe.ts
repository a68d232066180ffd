/**
 * The distinct indices of sparse rows in order of first occurrence, as in TensorFlow's `unique` +
 * `unsorted_segment_sum`. This kernel only finds them; the formula `sum = sum + g`, with `sum` indexed by the
 * ordinals found here, adds the rows.
 *
 * The hash table uses open addressing with double hashing, so indices chosen to collide still spread; linear probing
 * would need seconds for them. A table entry is 0 when free, or 1 + the ordinal of its index:
 *
 *     indices  5 0 5 9        ordinals  0 1 0 2        unique  5 0 9
 */
import type { Arena } from "../arena.ts";
import { assemble, type Code, I32, i32, ifThen, local, whileLoop } from "../wasm/wasm.ts";

/** 2^32 / golden ratio, odd: spreads neighbouring indices over the table (Knuth, TAOCP 6.4). */
const MULTIPLIER = 0x9e3779b1;

function emit(): Uint8Array<ArrayBuffer> {
  const [indices, count, table, shift, mask, ordinals, unique, found, entry, key, slot, stored] = Array(12)
    .keys();
  const get = (index: number | undefined) => local.get(index as number);
  const set = (index: number | undefined, value: Code) => local.set(index as number, value);
  const at = (base: number | undefined, index: Code) => i32.add(get(base), i32.shl(index, i32.const(2)));
  const previous = i32.sub(get(stored), i32.const(1));

  const insert = [
    ...i32.store(0, at(table, get(slot)), i32.add(get(found), i32.const(1))),
    ...i32.store(0, at(unique, get(found)), get(key)),
    ...set(stored, i32.add(get(found), i32.const(1))),
    ...set(found, i32.add(get(found), i32.const(1))),
  ];
  // The upper bits of the hash are the first slot; the bits below them, made odd, are the step to the next slot.
  const hash = i32.mul(get(key), i32.const(MULTIPLIER));
  const bits = i32.sub(i32.const(32), get(shift));
  const step = i32.or(i32.shru(i32.shl(hash, bits), get(shift)), i32.const(1));
  const load = set(stored, i32.load(0, at(table, get(slot))));
  const isOther = ifThen(
    i32.eqz(get(stored)),
    [...insert, ...set(key, i32.const(-1))],
    ifThen(
      i32.eq(i32.load(0, at(unique, previous)), get(key)),
      set(key, i32.const(-1)),
      [...set(slot, i32.and(i32.add(get(slot), step), get(mask))), ...load],
    ),
  );
  const body = whileLoop(i32.ltu(get(entry), get(count)), [
    ...set(key, i32.load(0, at(indices, get(entry)))),
    ...set(slot, i32.shru(hash, get(shift))),
    ...load,
    // Indices are never negative, so -1 marks the key as placed.
    ...whileLoop(i32.add(get(key), i32.const(1)), isOther),
    ...i32.store(0, at(ordinals, get(entry)), previous),
    ...set(entry, i32.add(get(entry), i32.const(1))),
  ]);
  return assemble({
    parameters: Array(7).fill(I32),
    results: [I32],
    locals: Array(5).fill(I32),
    body: [...body, ...get(found)],
    imports: [],
  });
}

let module: WebAssembly.Module | undefined;

/** Bytes of scratch that {@link findUnique} needs for `count` indices. */
export function tableBytes(count: number): number {
  return 4 * 2 ** tableBits(count);
}

const tableBits = (count: number) => Math.max(4, Math.ceil(Math.log2(Math.max(count, 1) * 2)));

/**
 * Writes the ordinal of each of `count` int32 indices (all ≥ 0) and the distinct indices; returns the number of
 * distinct indices. All other arguments are byte offsets; `table` has {@link tableBytes}, the others 4 bytes per
 * index.
 */
export function findUnique(
  arena: Arena,
  at: { indices: number; count: number; table: number; ordinals: number; unique: number },
): number {
  module ??= new WebAssembly.Module(emit());
  const bits = tableBits(at.count);
  arena.u8(at.table, tableBytes(at.count)).fill(0);
  const mask = 2 ** bits - 1;
  const kernel = arena.kernel(module);
  return kernel(at.indices, at.count, at.table, 32 - bits, mask, at.ordinals, at.unique) as number;
}
