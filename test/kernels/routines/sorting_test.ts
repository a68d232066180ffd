/**
 * Tests of sorting networks. They use the 0-1 principle: a network that sorts all zeros and ones sorts everything
 * (Knuth, TAOCP 5.3.4).
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Comparator,
  mergingNetwork,
  pruned,
  sortingNetwork,
} from "../../../kernels/routines/sorting.ts";

function passed(network: readonly Comparator[], values: readonly number[]): number[] {
  const wires = [...values];
  for (const { low, high } of network) {
    const [a, b] = [wires[low] as number, wires[high] as number];
    wires[low] = Math.min(a, b);
    wires[high] = Math.max(a, b);
  }
  return wires;
}

const inOrder = (values: readonly number[]) => values.toSorted((a, b) => a - b);

Deno.test("sortingNetwork() sorts all zeros and ones on up to 14 wires", () => {
  for (let count = 1; count <= 14; count++) {
    const network = sortingNetwork(count);
    for (let bits = 0; bits < 2 ** count; bits++) {
      const values = Array.from({ length: count }, (_, n) => bits >> n & 1);
      assert.deepEqual(passed(network, values), inOrder(values));
    }
  }
});

Deno.test("sortingNetwork() sorts on many wires and uses no others", () => {
  const lists = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 300 });
  fc.assert(fc.property(lists, (values) => {
    assert.deepEqual(passed(sortingNetwork(values.length), values), inOrder(values));
  }));
  assert.deepEqual(sortingNetwork(1), []);
  for (const { low, high } of sortingNetwork(77)) assert(0 <= low && low < high && high < 77);
});

Deno.test("sortingNetwork() has Batcher's number of comparators for a power of two of wires", () => {
  // (p^2 - p + 4) * 2^(p - 2) - 1 for 2^p wires.
  for (let p = 1; p <= 8; p++) {
    assert.equal(sortingNetwork(2 ** p).length, (p * p - p + 4) * 2 ** (p - 2) - 1);
  }
});

Deno.test("mergingNetwork() sorts all pairs of sorted halves of zeros and ones", () => {
  for (const half of [1, 2, 4, 8, 16, 32]) {
    const network = mergingNetwork(half);
    for (let lower = 0; lower <= half; lower++) {
      for (let upper = 0; upper <= half; upper++) {
        const ones = (count: number) => Array.from({ length: half }, (_, n) => Number(n >= half - count));
        const values = [...ones(lower), ...ones(upper)];
        assert.deepEqual(passed(network, values), inOrder(values));
      }
    }
  }
});

Deno.test("pruned() keeps what the wanted wires depend on, and marks the outputs that matter", () => {
  const lists = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 2, maxLength: 60 });
  fc.assert(fc.property(lists, fc.nat(), fc.nat(), (values, a, b) => {
    const n = values.length, from = Math.min(a % n, b % n), to = Math.max(a % n, b % n) + 1;
    const network = pruned(sortingNetwork(n), from, to);
    const wires = [...values];
    for (const { low, high, keepsLow, keepsHigh } of network) {
      const [x, y] = [wires[low] as number, wires[high] as number];
      // An output that is not needed becomes NaN: no result may depend on it.
      wires[low] = keepsLow ? Math.min(x, y) : NaN;
      wires[high] = keepsHigh ? Math.max(x, y) : NaN;
    }
    assert.deepEqual(wires.slice(from, to), inOrder(values).slice(from, to));
  }));
  assert(pruned(sortingNetwork(100), 49, 51).length < 0.85 * sortingNetwork(100).length);
});
