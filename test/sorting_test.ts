import assert from "node:assert/strict";
import { atOnce } from "../src/slices.ts";
import { sorting } from "../src/sorting.ts";
import { random } from "./kernels/support/special.ts";

for (const length of [0, 1, 4096, 4097, 12_288, 50_001]) {
  Deno.test(`sorting() sorts ${length} elements as toSorted() does, equal ones in their order`, () => {
    const next = random(length);
    const list = Array.from({ length }, (_, place) => ({ key: next() % 5000, place }));
    const compare = (a: { key: number }, b: { key: number }) => a.key - b.key;
    assert.deepEqual(atOnce(sorting(list, compare)), list.toSorted(compare));
  });
}

Deno.test("sorting() of a long list yields more often than a piece takes 5 ms", () => {
  const list = Array.from({ length: 300_000 }, (_, n) => (n * 7919) % 300_007);
  let pieces = 0;
  for (const units of sorting(list, (a, b) => a - b)) {
    assert(units <= 5_000_000);
    pieces += 1;
  }
  assert(pieces > 300, `${pieces}`);
});
