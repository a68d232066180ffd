/** Files of the reference implementation (named in golden/make_golden.py), read and written. */

import assert from "node:assert/strict";
import { gradientFields } from "../../src/wire/metadata_fields.ts";
import { tensorFileReader } from "../../src/wire/tensor_file.ts";
import { SafetensorsReader } from "../../src/wire/safetensors_reader.ts";
import { encodeSafetensors } from "../../src/wire/safetensors_writer.ts";
import { RecordingSink, RecordingTarget } from "./support/recording_target.ts";

const golden = (name: string) => Deno.readFileSync(new URL(`golden/${name}.safetensors`, import.meta.url));

Deno.test("SafetensorsReader reads what the reference implementation writes", () => {
  const file = golden("mixed");
  const sinks = new Map<string, RecordingSink>();
  const seen: string[] = [];
  const reader = new SafetensorsReader({
    fileBytes: file.length,
    onHeader({ entries, metadata }) {
      assert.deepEqual(metadata, new Map([["format", "np"], ["ключ", '\0"\\']]));
      for (const { name, dtype, shape } of entries) {
        seen.push(`${name} ${dtype} [${shape}]`);
        sinks.set(name, new RecordingSink());
      }
      return sinks;
    },
  });
  reader.write(file);
  reader.close();
  const odd = 'größe "\\\n😀';
  assert.deepEqual(seen.sort(), [
    "__proto__ F32 [1]",
    "f16 F16 [3]",
    "f32 F32 [2,2]",
    "f64 F64 [2]",
    `${odd} F32 [1]`,
    "i32 I32 [2]",
    "i64 I64 []",
    "nothing F32 [0,3]",
    "scalar F32 []",
    "u8 U8 [3]",
  ]);
  const values = (name: string, View: { new (buffer: ArrayBuffer): Iterable<unknown> }) => {
    return [...new View(Uint8Array.from(sinks.get(name)!.bytes).buffer)];
  };
  assert.deepEqual(values("f32", Float32Array), [1.5, -0, Infinity, 2 ** -149]);
  assert.deepEqual(values("f16", Float16Array), [1.5, 65504, 2 ** -24]);
  assert.deepEqual(values("f64", Float64Array), [0.1, -Infinity]);
  assert.deepEqual(values("i32", Int32Array), [-1, 2 ** 31 - 1]);
  assert.deepEqual(values("i64", BigInt64Array), [-(2n ** 63n)]);
  assert.deepEqual(values("u8", Uint8Array), [1, 2, 3]);
  assert.deepEqual(values("scalar", Float32Array), [2.5]);
  assert.deepEqual(values("nothing", Float32Array), []);
  assert.deepEqual(values("__proto__", Float32Array), [7]);
  assert.deepEqual(values(odd, Float32Array), [8]);
});

Deno.test("tensorFileReader() reads a contribution that a Python client wrote", () => {
  const file = golden("gradients");
  const target = new RecordingTarget();
  let fields: unknown;
  const reader = tensorFileReader(target, {
    fileBytes: file.length,
    onMetadata: (metadata) => fields = gradientFields(metadata),
  });
  reader.write(file);
  reader.close();
  assert.deepEqual(fields, {
    base_iteration: 3,
    client_id: "client 1",
    weight: 0.5,
    hyperparameters: { learning_rate: 0.25 },
  });
  const { indices, values } = target.sparses.get("emb")!;
  assert.deepEqual([indices.dtype, indices.shape, values.dtype, values.shape], ["I64", [3], "F32", [3, 2]]);
  assert.deepEqual(values.sink.floats, [0, 1, 2, 3, 4, 5]);
  assert.deepEqual([...new BigInt64Array(Uint8Array.from(indices.sink.bytes).buffer)], [5n, 0n, 5n]);
  assert.deepEqual(target.denses.get("dense/kernel")!.sink.floats, [1, 2, 3, 4]);
});

Deno.test("SafetensorsReader reads the reference implementation's file without tensors", () => {
  const target = new RecordingTarget();
  const reader = tensorFileReader(target);
  reader.write(golden("no_tensors"));
  reader.close();
  assert.deepEqual(target.calls, []);
});

Deno.test("encodeSafetensors() writes the reference implementation's bytes", () => {
  const { byteLength, body } = encodeSafetensors([
    { name: "b", shape: [3], values: Float32Array.of(1, 2, 3) },
    { name: "a/é", shape: [2, 1], values: Float32Array.of(0.1, NaN) },
    { name: "iterations", shape: [], values: BigInt64Array.of(12n) },
    { name: "empty", shape: [0], values: new Float32Array(0) },
  ], { metadata: { version: "v3" } });
  assert.deepEqual(body, golden("written"));
  assert.equal(byteLength, golden("written").length);
});
