/**
 * What a kernel does with the numbers that it stores: it flushes subnormal ones, and it marks its arena (FLAG_OFFSET)
 * when one is NaN or infinite.
 *
 * Flushing takes four ops per vector. Testing for subnormals first, and flushing only the groups that have some, gains
 * a little for Adagrad but loses a little for SGD and a third where there are zeros.
 *
 * Flushing needs the exponents, and the greatest one of a call tells whether a number was not finite: one more op per
 * vector. A store that another one gives away is not watched: if m is not finite, neither is w - m * alpha. What is
 * left takes 1.05 of the time for Adam in cache.
 */
import { FLAG_OFFSET } from "../arena.ts";
import type { GraphNode } from "../language/graph.ts";
import { flushed } from "../language/flush.ts";
import { OPS } from "../language/ops.ts";
import { type Code, i32, i32x4, ifThen, local, v128 } from "../wasm/wasm.ts";
import type { Pass } from "./pass.ts";

type Store = Pass["stores"][number];

/** The bits of an infinity, which are those of the exponent of a NaN. */
export const EXPONENT_BITS = 0x7f800000;

/** The stores that tell of all: in each of the others, a number that is not finite makes one of these not finite. */
export function watchedStores(
  nodes: readonly GraphNode[],
  { stores, isWatched }: Pick<Pass, "stores" | "isWatched">,
): ReadonlySet<Store> {
  if (!isWatched) return new Set();
  const watched = new Set(stores);
  for (const store of stores) {
    const givesAway = (other: Store) => other !== store && keeps(nodes, other.node, store.node);
    if ([...watched].some(givesAway)) watched.delete(store);
  }
  return watched;
}

/** Whether the value of `to` is not finite whenever that of `from` is not. */
function keeps(nodes: readonly GraphNode[], to: number, from: number): boolean {
  const seen = new Set<number>();
  const waiting = [to];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (id === from) return true;
    const { op, args, element } = nodes[id] as GraphNode;
    // A kernel gets scalars as they are: kernels that differ only in how those are computed are one module.
    if (!element) continue;
    // Arguments have smaller ids than what is computed from them.
    for (const arg of args.slice(0, OPS.get(op)?.keeps ?? 0)) {
      if (arg < from || seen.has(arg)) continue;
      seen.add(arg);
      waiting.push(arg);
    }
  }
  return false;
}

interface Stored {
  /** The local with the value; locals for its exponents, and for the greatest ones if the store is watched. */
  readonly value: Code;
  readonly scratch: number;
  readonly greatest: number | undefined;
  readonly address: Code;
  readonly offset: number;
  /** 1: lane 0 alone; the other lanes may be anything. */
  readonly width: 1 | 4;
  readonly flushes: boolean;
  readonly constant: (vector: Code) => Code;
}

/** Stores a vector, or one element. */
export function emitStore(
  { value, scratch, greatest, address, offset, width, flushes, constant }: Stored,
): Code {
  const code: Code[] = [], exponents = local.get(scratch);
  if (flushes || greatest !== undefined) {
    code.push(local.set(scratch, v128.and(value, constant(v128.constI32(EXPONENT_BITS)))));
  }
  if (greatest !== undefined) {
    const own = width === 4 ? exponents : v128.and(exponents, constant(v128.const([EXPONENT_BITS, 0, 0, 0])));
    code.push(local.set(greatest, i32x4.maxs(local.get(greatest), own)));
  }
  const final = flushes ? flushed(value, exponents, constant(v128.zero)) : value;
  code.push(width === 4 ? v128.store(offset, address, final) : v128.store32lane(0, address, final));
  return code.flat();
}

/** Marks the arena if `greatest`, the greatest exponent of each lane, is that of a NaN or an infinity. */
export function mark(greatest: Code): Code {
  return ifThen(
    v128.anyTrue(i32x4.eq(greatest, v128.constI32(EXPONENT_BITS))),
    i32.store(FLAG_OFFSET, i32.const(0), i32.const(1)),
  );
}
