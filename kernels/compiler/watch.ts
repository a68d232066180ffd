/**
 * Watching of stored numbers: a kernel marks its arena (FLAG_OFFSET) when it stores a NaN or an infinity.
 *
 * The greatest exponent of all stored numbers tells, at one op per vector, because flushing needs the exponents anyway.
 * A store that another one gives away is not watched: if m is not finite, neither is w - m * alpha. Watching both the
 * variable and the second moment makes Adam take 1.05 of the time.
 */
import { FLAG_OFFSET } from "../arena.ts";
import type { GraphNode } from "../language/graph.ts";
import { OPS } from "../language/ops.ts";
import { type Code, i32, i32x4, ifThen, v128 } from "../wasm/wasm.ts";
import type { Pass } from "./pass.ts";

/** The bits of an infinity, which are those of the exponent of a NaN. */
export const EXPONENT_BITS = 0x7f800000;

/** The stores that tell of all: in each of the others, a number that is not finite makes one of these not finite. */
export function watchedStores(
  nodes: readonly GraphNode[],
  { stores }: Pick<Pass, "stores">,
): ReadonlySet<Pass["stores"][number]> {
  const watched = new Set(stores);
  for (const store of stores) {
    const givesAway = (other: Pass["stores"][number]) =>
      other !== store && keeps(nodes, other.node, store.node);
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
    const { op, args } = nodes[id] as GraphNode;
    // Arguments have smaller ids than what is computed from them.
    for (const arg of args.slice(0, OPS.get(op)?.keeps ?? 0)) {
      if (arg < from || seen.has(arg)) continue;
      seen.add(arg);
      waiting.push(arg);
    }
  }
  return false;
}

/** Marks the arena if `greatest`, the greatest exponent of each lane, is that of a NaN or an infinity. */
export function mark(greatest: Code): Code {
  return ifThen(
    v128.anyTrue(i32x4.eq(greatest, v128.constI32(EXPONENT_BITS))),
    i32.store(FLAG_OFFSET, i32.const(0), i32.const(1)),
  );
}
