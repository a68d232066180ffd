/** Tests of the bounded map against a list of its entries. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { BoundedMap } from "../../kernels/bounded_map.ts";

const operations = fc.array(
  fc.record({ kind: fc.constantFrom("set", "set", "set", "delete"), key: fc.nat(7) }),
  { maxLength: 60, size: "max" },
);

Deno.test("BoundedMap keeps the newest entries, and an entry that is set again keeps its age", () => {
  fc.assert(fc.property(fc.nat(5), operations, (sizeMax, sequence) => {
    const map = new BoundedMap<number, number>(sizeMax);
    /** Oldest first. */
    let entries: [number, number][] = [];
    for (const [value, { kind, key }] of sequence.entries()) {
      const known = entries.find(([each]) => each === key);
      if (kind === "delete") {
        assert.equal(map.delete(key), known !== undefined);
        entries = entries.filter((entry) => entry !== known);
      } else {
        assert.equal(map.set(key, value), map);
        if (known) known[1] = value;
        else entries.push([key, value]);
        if (entries.length > sizeMax) entries.shift();
      }
      assert.deepEqual([...map], entries);
      assert.equal(map.get(key), entries.find(([each]) => each === key)?.[1]);
    }
  }));
});
