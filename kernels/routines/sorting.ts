/**
 * Sorting networks: lists of comparisons whose order does not depend on the data. They are Batcher's odd-even merge
 * sort (Batcher 1968, "Sorting networks and their applications"; Knuth, TAOCP 5.3.4), depth first: neighbouring
 * comparators work on few wires, so their values stay in registers (0.7 of the time of level by level).
 *
 * Not code: order_parts.ts generates it from a network. Invariant: a comparator leaves the smaller value on its lower
 * wire.
 */

export interface Comparator {
  readonly low: number;
  readonly high: number;
}

/** A network for `count` wires: that for the next power of two, as if the other wires held infinities. */
export function sortingNetwork(count: number): Comparator[] {
  const network: Comparator[] = [];
  const sort = (first: number, wires: number): void => {
    if (wires === 1) return;
    sort(first, wires / 2);
    sort(first + wires / 2, wires / 2);
    merge(network, first, wires, 1);
  };
  sort(0, 2 ** Math.ceil(Math.log2(Math.max(count, 1))));
  return network.filter(({ high }) => high < count);
}

/** A network for `2 * half` wires whose halves are sorted already; `half` is a power of two. */
export function mergingNetwork(half: number): Comparator[] {
  const network: Comparator[] = [];
  merge(network, 0, 2 * half, 1);
  return network;
}

/**
 * Merges the sorted halves of the wires first, first + step, …: first the even, then the odd ones, then neighbours.
 */
function merge(network: Comparator[], first: number, wires: number, step: number): void {
  if (2 * step >= wires) {
    network.push({ low: first, high: first + step });
    return;
  }
  merge(network, first, wires, 2 * step);
  merge(network, first + step, wires, 2 * step);
  for (let wire = first + step; wire + step < first + wires; wire += 2 * step) {
    network.push({ low: wire, high: wire + step });
  }
}

/** A comparator of which only one output may be needed. */
export interface PrunedComparator extends Comparator {
  readonly keepsLow: boolean;
  readonly keepsHigh: boolean;
}

/** The comparators on which the final values of the wires from..to-1 depend. */
export function pruned(network: readonly Comparator[], from: number, to: number): PrunedComparator[] {
  const wanted = new Set(Array.from({ length: to - from }, (_, n) => from + n));
  const kept: PrunedComparator[] = [];
  for (const { low, high } of network.toReversed()) {
    const keepsLow = wanted.has(low), keepsHigh = wanted.has(high);
    if (!keepsLow && !keepsHigh) continue;
    wanted.add(low).add(high);
    kept.push({ low, high, keepsLow, keepsHigh });
  }
  return kept.reverse();
}
