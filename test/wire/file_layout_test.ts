/** A layout gives the bytes that the writer gives, whatever names, shapes and metadata. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { elementCount } from "../../src/tensor.ts";
import { atOnce } from "../../src/slices.ts";
import { FileLayout } from "../../src/wire/file_layout.ts";
import { headerOf, layingOut } from "../../src/wire/safetensors_writer.ts";

const TENSORS = fc.uniqueArray(
  fc.record({
    name: fc.oneof(
      fc.string({ minLength: 1, unit: "binary" }),
      fc.constantFrom("__proto__", "w10", "w9", "w", "ä"),
    ),
    shape: fc.array(fc.nat(4), { maxLength: 3 }),
  }),
  { selector: ({ name }) => name, maxLength: 12 },
);
const METADATA = fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { minKeys: 1, maxKeys: 4 });

Deno.test("a file's layout has the header and the order of the writer", () => {
  fc.assert(fc.property(TENSORS, METADATA, METADATA, (shapes, ...metadata) => {
    const tensors = shapes.map(({ name, shape }) => {
      const count = elementCount(shape);
      return { name, shape, count, values: new Float32Array(count) };
    });
    const layout = atOnce(FileLayout.making(tensors));
    // The same layout serves every version.
    for (const each of metadata) {
      const wanted = atOnce(layingOut(tensors));
      assert.deepEqual(layout.header(each), headerOf(wanted, each));
      assert.deepEqual(layout.ordered, wanted.ordered);
    }
    assert.equal(layout.dataBytes, 4 * tensors.reduce((sum, { count }) => sum + count, 0));
  }));
});
