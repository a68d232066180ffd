/**
 * Rows that lie here and there in a large table, loaded before they are worked on: each costs a miss of the caches and
 * of the pages' addresses, and one row's arithmetic is too long for the processor to look ahead to the next row. Loads
 * alone are short, so that many misses are waited for at once (a step on 10,000 of 1,000,000 x 64: 0.7 of the time).
 *
 * Changes no result: reads what the kernel will read, and nothing else.
 */
import { type Code, global, i32, ifThen, local, whileLoop } from "../wasm/wasm.ts";

/** Rows that are loaded ahead: of a few tensors they fit into the first-level cache. */
const ROWS = 16;
/** Shorter rows the processor overlaps by itself; longer ones it fetches ahead as it goes through them. */
const LENGTH_MIN = 16, LENGTH_MAX = 128;
const LINE_BYTES = 64;

interface Touched {
  /** Locals: the row to be worked on next, the number of rows, their length in elements, the list of row numbers. */
  readonly row: number;
  readonly rowCount: number;
  readonly rowLength: number;
  readonly indices: number;
  /** Of each tensor the local with its first byte, and the bytes of an element. */
  readonly tensors: readonly { readonly base: number; readonly elementBytes: number }[];
  /** A new int32 local. */
  readonly newLocal: () => number;
}

/** Loads a word of every line of the next rows, once for every {@link ROWS}. Sets global 0. */
export function touchRows({ row, rowCount, rowLength, indices, tensors, newLocal }: Touched): Code {
  const ahead = newLocal(), stop = newLocal(), at = newLocal(), end = newLocal(), words = newLocal();
  const load = (address: Code) => local.set(words, i32.or(local.get(words), i32.load(0, address)));
  const step = (index: number, by: number) => local.set(index, i32.add(local.get(index), i32.const(by)));
  const touched = tensors.flatMap(({ base, elementBytes }) => {
    const rowBytes = i32.mul(local.get(rowLength), i32.const(elementBytes));
    const number = i32.load(0, i32.add(local.get(indices), i32.mul(local.get(ahead), i32.const(4))));
    return [
      ...local.set(at, i32.add(local.get(base), i32.mul(number, rowBytes))),
      ...local.set(end, i32.add(local.get(at), rowBytes)),
      ...whileLoop(i32.ltu(local.get(at), local.get(end)), [
        ...load(local.get(at)),
        ...step(at, LINE_BYTES),
      ]),
      // Rows begin anywhere in a line: the last word may be in one more.
      ...load(i32.sub(local.get(end), i32.const(4))),
    ];
  });
  const isFirst = i32.eqz(i32.and(local.get(row), i32.const(ROWS - 1)));
  const isWorthIt = i32.ltu(
    i32.sub(local.get(rowLength), i32.const(LENGTH_MIN)),
    i32.const(LENGTH_MAX - LENGTH_MIN + 1),
  );
  return ifThen(i32.and(isFirst, isWorthIt), [
    ...local.set(ahead, local.get(row)),
    ...local.set(stop, i32.add(local.get(row), i32.const(ROWS))),
    ...ifThen(
      i32.ltu(local.get(rowCount), local.get(stop)),
      local.set(stop, local.get(rowCount)),
    ),
    ...whileLoop(i32.ltu(local.get(ahead), local.get(stop)), [...touched, ...step(ahead, 1)]),
    // Nobody reads it; V8 would leave out loads that nothing depends on.
    ...global.set(0, local.get(words)),
  ]);
}
