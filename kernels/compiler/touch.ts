/**
 * Prefetching of rows that are scattered over a large table. Each such row costs a cache miss and a TLB miss, and one
 * row's arithmetic is too long for the processor to look ahead to the next row. Loads alone are short, so many misses
 * overlap (a step on 10,000 of 1,000,000 x 64 takes 0.7 of the time).
 *
 * Prefetching changes no result: it reads only what the kernel will read.
 */
import { type Code, global, i32, ifThen, local, whileLoop } from "../wasm/wasm.ts";

/** Rows that are prefetched at a time: those of a few tensors fit into the first-level cache. */
const ROWS = 16;
/** The processor overlaps shorter rows by itself, and prefetches longer rows while it reads them. */
const LENGTH_MIN = 16, LENGTH_MAX = 128;
const LINE_BYTES = 64;

interface Touched {
  /** Locals: the next row to process, the number of rows, their length in elements, the list of row numbers. */
  readonly row: number;
  readonly rowCount: number;
  readonly rowLength: number;
  readonly indices: number;
  /** For each tensor, the local with its address and the bytes per element. */
  readonly tensors: readonly { readonly base: number; readonly elementBytes: number }[];
  /** Declares a new int32 local. */
  readonly newLocal: () => number;
}

/** Loads a word of every cache line of the next rows, once per {@link ROWS} rows. Sets global 0. */
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
      // A row may begin anywhere in a cache line, so its last word may be in one more line.
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
    // The global is never read, but V8 would remove loads that nothing depends on.
    ...global.set(0, local.get(words)),
  ]);
}
