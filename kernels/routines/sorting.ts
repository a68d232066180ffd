/**
 * Sorting networks: which places to compare, in an order that does not depend on the data. Batcher's odd-even merge
 * sort (Batcher 1968, "Sorting networks and their applications"; Knuth, TAOCP 5.3.4), depth first: neighbouring
 * comparators work on few wires, so that their values stay in registers (0.7 of the time of level after level).
 *
 * Not code: order_parts.ts makes it of them. Invariant: a comparator leaves the smaller value on its lower wire.
 */

export interface Comparator {
  readonly low: number;
  readonly high: number;
}

/** Sorts `count` wires: a network for the next power of two whose other wires would hold infinities. */
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

/** Sorts `2 * half` wires whose two halves are sorted; `half` is a power of two. */
export function mergingNetwork(half: number): Comparator[] {
  const network: Comparator[] = [];
  merge(network, 0, 2 * half, 1);
  return network;
}

/** Merges the sorted halves of the wires first, first + step, …: the even ones, the odd ones, then neighbours. */
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

/** A comparator of which not both outcomes may be wanted. */
export interface PrunedComparator extends Comparator {
  readonly keepsLow: boolean;
  readonly keepsHigh: boolean;
}

/** What of the network the wires from..to-1 depend on in the end. */
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
