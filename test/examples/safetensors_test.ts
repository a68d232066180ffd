/** The examples' safetensors code, against the service's reader and against itself. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeTensors, encodeTensors } from "../../examples/safetensors.ts";

Deno.test("decodeTensors() restores what encodeTensors() was given", () => {
  const floats = fc.float32Array({ maxLength: 40, noNaN: true });
  const files = fc.dictionary(fc.stringMatching(/^[a-z/#]{1,12}$/), floats, { maxKeys: 5 });
  fc.assert(fc.property(files, fc.dictionary(fc.string(), fc.string()), (values, metadata) => {
    const named = Object.entries(values).map((
      [name, each],
    ) => [name, { shape: [each.length], values: each }]);
    const file = decodeTensors(encodeTensors(Object.fromEntries(named), metadata));
    assert.deepEqual(Object.fromEntries(file.tensors), Object.fromEntries(named));
    assert.deepEqual({ ...file.metadata }, { ...metadata });
  }));
});

Deno.test("encodeTensors() pads the header so that the data can be viewed in place", () => {
  const file = encodeTensors({ w: { shape: [], values: new Float32Array([2.5]) } });
  const headerBytes = Number(new DataView(file.buffer).getBigUint64(0, true));
  assert.equal(headerBytes % 8, 0);
  assert.equal(new Float32Array(file.buffer, 8 + headerBytes)[0], 2.5);
});
