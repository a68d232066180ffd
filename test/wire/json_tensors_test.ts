import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { ErrorCode } from "../../src/errors.ts";
import { JSON_DTYPES } from "../../src/wire/dtypes.ts";
import { readTensor, writeTensors } from "../../src/wire/json_tensors.ts";
import { RecordingTarget } from "./support/recording_target.ts";
import { assertRefuses } from "./support/refusals.ts";

function write(tensors: unknown): RecordingTarget {
  const target = new RecordingTarget();
  writeTensors(tensors, target, "gradients");
  for (const { sink } of target.denses.values()) assert.equal(sink.closeCount, 1);
  for (const { indices, values } of target.sparses.values()) {
    assert.deepEqual([indices.sink.closeCount, values.sink.closeCount], [1, 1]);
  }
  for (const { sinks } of target.packeds.values()) {
    for (const sink of Object.values(sinks)) assert.equal(sink.closeCount, 1);
  }
  return target;
}

const base64 = (values: ArrayBufferView) => Buffer.from(values.buffer as ArrayBuffer).toString("base64");
const float32 = (shape: number[], ...values: number[]) => ({
  dtype: "float32",
  shape,
  base64: base64(Float32Array.from(values)),
});

Deno.test("writeTensors() accepts every form of a tensor, in the order of the members", () => {
  const target = write({
    "dense/kernel": [[1, 2], [3, "NaN"]],
    scalar: -0.5,
    bias: null,
    large: float32([2, 1], 5, 6),
    emb: { indices: [5, 0, 5], values: [[1, 2], [3, 4], [5, 6]] },
  });
  assert.deepEqual(target.calls, [
    "dense dense/kernel",
    "dense scalar",
    "none bias",
    "dense large",
    "sparse emb",
  ]);
  const kernel = target.denses.get("dense/kernel")!;
  assert.deepEqual([kernel.dtype, kernel.shape, kernel.sink.floats], ["F32", [2, 2], [1, 2, 3, NaN]]);
  const scalar = target.denses.get("scalar")!;
  assert.deepEqual([scalar.shape, scalar.sink.floats], [[], [-0.5]]);
  const large = target.denses.get("large")!;
  assert.deepEqual([large.dtype, large.shape, large.sink.floats], ["F32", [2, 1], [5, 6]]);
  const { indices, values } = target.sparses.get("emb")!;
  assert.deepEqual([indices.dtype, indices.shape, indices.sink.int32s], ["I32", [3], [5, 0, 5]]);
  assert.deepEqual([values.dtype, values.shape, values.sink.floats], ["F32", [3, 2], [1, 2, 3, 4, 5, 6]]);
});

Deno.test("writeTensors() takes base64 for either half of a sparse tensor, and for every dtype", () => {
  const target = write({
    a: {
      indices: { dtype: "int64", shape: [1], base64: base64(BigInt64Array.of(7n)) },
      values: float32([1], 2),
    },
    b: { indices: { dtype: "int32", shape: [1], base64: base64(Int32Array.of(7)) }, values: [[2]] },
    c: { indices: [7], values: { dtype: "float16", shape: [1], base64: base64(Float16Array.of(2)) } },
    d: { dtype: "bfloat16", shape: [1], base64: base64(Uint16Array.of(0x4000)) },
    e: { dtype: "float64", shape: [], base64: base64(Float64Array.of(2)) },
    nothing: { dtype: "float32", shape: [0, 3], base64: "" },
    none: { indices: [], values: [] },
  });
  const sparse = (name: string) => Object.values(target.sparses.get(name)!).map((half) => half.dtype);
  assert.deepEqual(sparse("a"), ["I64", "F32"]);
  assert.deepEqual(sparse("b"), ["I32", "F32"]);
  assert.deepEqual(sparse("c"), ["I32", "F16"]);
  assert.deepEqual(target.denses.get("d")!.sink.bytes, [0x00, 0x40]);
  assert.deepEqual([target.denses.get("d")!.dtype, target.denses.get("e")!.dtype], ["BF16", "F64"]);
  assert.deepEqual(target.denses.get("nothing")!.shape, [0, 3]);
  assert.deepEqual(target.sparses.get("none")!.values.shape, [0]);
});

const int8 = (shape: number[], ...values: number[]) => ({
  dtype: "int8",
  shape,
  base64: base64(Int8Array.from(values)),
});

Deno.test("writeTensors() takes int8 with scales, and flat tensors, in every mixture", () => {
  const target = write({
    w: { values: int8([2, 2], -128, 0, 1, 127), scale: [0.5, "NaN"], block: 3 },
    one: { values: int8([], 7), scale: float32([1], 2) },
    rows: { indices: [5], values: int8([1, 2], 1, 2), scale: [0.25], flat: false },
    top: { indices: [3, 0], values: [1, 2], flat: true },
    both: { indices: [3], values: int8([1], -1), scale: [4], flat: true },
    nothing: { indices: [], values: [], flat: true },
  });
  assert.deepEqual(
    target.calls,
    Object.keys(Object.fromEntries(target.packeds)).map((name) => `packed ${name}`),
  );
  const found = [...target.packeds].map(([name, { tensor, sinks }]) => {
    const values = tensor.values.dtype === "I8"
      ? [...Int8Array.from(sinks.values.bytes)]
      : sinks.values.floats;
    const scale = sinks.scale?.floats;
    return [
      name,
      tensor.values.shape,
      values,
      sinks.indices?.int32s,
      scale,
      tensor.scale?.block,
      tensor.flat,
    ];
  });
  assert.deepEqual(found, [
    ["w", [2, 2], [-128, 0, 1, 127], undefined, [0.5, NaN], 3, false],
    ["one", [], [7], undefined, [2], 64, false],
    ["rows", [1, 2], [1, 2], [5], [0.25], 64, false],
    ["top", [2], [1, 2], [3, 0], undefined, undefined, true],
    ["both", [1], [-1], [3], [4], 64, true],
    ["nothing", [0], [], [], undefined, undefined, true],
  ]);
  const plain = write({ rows: { indices: [1], values: [2], flat: false } });
  assert.deepEqual(plain.calls, ["sparse rows"]);
});

Deno.test("writeTensors() decodes base64 of any length, in pieces", () => {
  for (const count of [1, 2, 3, 12_287, 12_288, 12_289, 50_000]) {
    const values = Float32Array.from({ length: count }, (_, i) => i);
    const { sink } = write({ w: float32([count], ...values) }).denses.get("w")!;
    assert.deepEqual(Float32Array.from(sink.floats), values);
  }
});

Deno.test("writeTensors() keeps names that are special to JavaScript", () => {
  const target = write(JSON.parse('{"__proto__": [1], "constructor": 2}'));
  assert.deepEqual([...target.denses.keys()], ["__proto__", "constructor"]);
});

const large = { dtype: "float32", shape: [2], base64: "AAAAAAAAAAA=" };
const REFUSED: [string, ErrorCode, unknown, RegExp][] = [
  ["a list instead of an object", "invalid_request", [], /^Cannot read gradients: it must be an object/],
  ["null instead of an object", "invalid_request", null, /^Cannot read gradients: it must be an object/],
  ["ragged nesting", "shape_mismatch", { "d/k": [[1], [1, 2]] }, /^Cannot read gradients\.d\/k\.1: it has 2/],
  ["a boolean", "invalid_number", { w: true }, /^Cannot read gradients\.w: it is true/],
  ["an object of no form", "invalid_request", { w: {} }, /gradients\.w\.dtype: it is missing/],
  ["an unknown key", "invalid_request", { w: { ...large, x: 1 } }, /gradients\.w\.x: it is unknown/],
  [
    "an unknown dtype",
    "invalid_request",
    { w: { ...large, dtype: "F32" } },
    /w\.dtype: it must be one of float32,/,
  ],
  [
    "a shape that is none",
    "invalid_request",
    { w: { ...large, shape: [-2] } },
    /w\.shape: it must be an array/,
  ],
  ["a shape of text", "invalid_request", { w: { ...large, shape: ["2"] } }, /w\.shape: it must be an array/],
  [
    "base64 that is no string",
    "invalid_request",
    { w: { ...large, base64: 1 } },
    /w\.base64: it must be a string/,
  ],
  [
    "base64 that is too short",
    "shape_mismatch",
    { w: { ...large, shape: [3] } },
    /has 12 letters, must have 16/,
  ],
  [
    "a shape beyond any body",
    "shape_mismatch",
    { w: { ...large, shape: [1e15] } },
    /has 12 letters, must have/,
  ],
  ["letters outside base64", "invalid_request", { w: { ...large, base64: "AAAAAAAA!AA=" } }, /is not base64/],
  ["base64url", "invalid_request", { w: { ...large, base64: "-_AAAAAAAAA=" } }, /is not base64/],
  ["white space in base64", "invalid_request", { w: { ...large, base64: "AAAA\nAAAAAA=" } }, /is not base64/],
  [
    "base64 with too much padding",
    "invalid_request",
    { w: { ...large, base64: "AAAAAAAAAA==" } },
    /is not base64/,
  ],
  ["base64 with stray bits", "invalid_request", { w: { ...large, base64: "AAAAAAAAAAB=" } }, /is not base64/],
  [
    "sparse without values",
    "invalid_request",
    { w: { indices: [1] } },
    /gradients\.w\.values: it is missing/,
  ],
  [
    "sparse without indices",
    "invalid_request",
    { w: { values: [1] } },
    /gradients\.w\.indices: it is missing/,
  ],
  [
    "sparse and more",
    "invalid_request",
    { w: { indices: [1], values: [1], shape: [1] } },
    /w\.shape: it is unknown/,
  ],
  [
    "indices that are no list",
    "invalid_request",
    { w: { indices: 1, values: [1] } },
    /w\.indices: it must be an array/,
  ],
  [
    "a fractional index",
    "invalid_number",
    { w: { indices: [0, 0.5], values: [1, 2] } },
    /w\.indices\.1: it is 0\.5/,
  ],
  ["an index of text", "invalid_number", { w: { indices: ["1"], values: [1] } }, /w\.indices\.0: it is "1"/],
  [
    "nested indices",
    "invalid_number",
    { w: { indices: [[1]], values: [1] } },
    /w\.indices\.0: it is an array/,
  ],
  [
    "an index of 2^31",
    "index_out_of_range",
    { w: { indices: [2 ** 31], values: [1] } },
    /is 2147483648, must be below/,
  ],
  [
    "an index of -2^31-1",
    "index_out_of_range",
    { w: { indices: [-(2 ** 31) - 1], values: [1] } },
    /-2147483649/,
  ],
  [
    "more rows than indices",
    "shape_mismatch",
    { w: { indices: [1], values: [1, 2] } },
    /shape \[1\] and .* \[2\]/,
  ],
  ["values without rows", "shape_mismatch", { w: { indices: [1], values: 1 } }, /must have \[rows\]/],
  ["float indices", "dtype_mismatch", { w: { indices: large, values: [1, 2] } }, /indices of dtype F32/],
  ["a scale alone", "invalid_request", { w: { scale: [1] } }, /gradients\.w\.values: it is missing/],
  [
    "a scale of float values",
    "dtype_mismatch",
    { w: { values: large, scale: [1] } },
    /read gradients\.w: it has a scale and values of dtype F32, must have I8/,
  ],
  [
    "a scale that is no float32",
    "dtype_mismatch",
    { w: { values: int8([1], 1), scale: { dtype: "float16", shape: [1], base64: "AAA=" } } },
    /scale of dtype F16, must have F32/,
  ],
  [
    "scales for other blocks",
    "shape_mismatch",
    { w: { values: int8([3], 1, 2, 3), scale: [1], block: 2 } },
    /scale of shape \[1\], must have \[2\]: one for each block of 2 of its 3 values/,
  ],
  ...[0, -1, 1.5, "2", null, 2 ** 53].map((block): typeof REFUSED[number] => [
    `a block of ${JSON.stringify(block)}`,
    "invalid_request",
    { w: { values: int8([1], 1), scale: [1], block } },
    /gradients\.w\.block: it must be an integer from 1/,
  ]),
  [
    "a block without a scale",
    "invalid_request",
    { w: { indices: [1], values: [1], block: 2 } },
    /w\.block: it is unknown, must be one of indices, values, flat/,
  ],
  [
    "flat as text",
    "invalid_request",
    { w: { indices: [1], values: [1], flat: "yes" } },
    /w\.flat: it must be true or false/,
  ],
  [
    "flat without indices",
    "invalid_request",
    { w: { values: int8([1], 1), scale: [1], flat: true } },
    /w\.indices: it is missing/,
  ],
  [
    "flat values in rows",
    "shape_mismatch",
    { w: { indices: [1], values: [[1]], flat: true } },
    /values of shape \[1, 1\], must have \[n\] and \[n\]: it is flat/,
  ],
];

Deno.test("writeTensors() refuses every other form, with its place", async (t) => {
  for (const [what, code, tensors, pattern] of REFUSED) {
    await t.step(what, () => assertRefuses(code, pattern, () => write(tensors)));
  }
});

Deno.test("writeTensors() asks the target before it decodes base64", () => {
  const target = new RecordingTarget();
  const wrong = { w: { ...large, base64: "!!!!!!!!!!!!" } };
  assertRefuses("invalid_request", /is not base64/, () => writeTensors(wrong, target, "gradients"));
  assert.deepEqual(target.calls, ["dense w"]);
  assert.deepEqual(target.denses.get("w")!.sink.bytes, []);
});

Deno.test("readTensor() makes float32 of every dtype in base64", () => {
  const numbers = [1, -2, 100];
  const arrays = {
    float32: Float32Array.from(numbers),
    float16: Float16Array.from(numbers),
    bfloat16: Uint16Array.of(0x3f80, 0xc000, 0x42c8),
    float64: Float64Array.from(numbers),
    int8: Int8Array.from(numbers),
    int32: Int32Array.from(numbers),
    int64: BigInt64Array.from(numbers, BigInt),
  };
  const unsigned = ["uint8", "bool"];
  assert.deepEqual([...Object.keys(arrays), ...unsigned].sort(), [...JSON_DTYPES.keys()].sort());
  for (const dtype of unsigned) {
    const read = readTensor({ dtype, shape: [3], base64: base64(Uint8Array.of(1, 0, 1)) }, "inputs.x");
    assert.deepEqual(read, { shape: [3], values: Float32Array.of(1, 0, 1) }, dtype);
  }
  for (const [dtype, values] of Object.entries(arrays)) {
    const read = readTensor({ dtype, shape: [3], base64: base64(values) }, "inputs.x");
    assert.deepEqual(read, { shape: [3], values: Float32Array.from(numbers) }, dtype);
  }
  const precise = { dtype: "float64", shape: [], base64: base64(Float64Array.of(0.1)) };
  assert.deepEqual(readTensor(precise, "inputs.x").values, Float32Array.of(0.1));
});

Deno.test("readTensor() reads nested numbers and float32 in base64", () => {
  const expected = { shape: [2, 1], values: Float32Array.of(1, 2) };
  assert.deepEqual(readTensor([[1], [2]], "initial"), expected);
  assert.deepEqual(readTensor(float32([2, 1], 1, 2), "initial"), expected);
  assert.deepEqual(readTensor(3, "initial"), { shape: [], values: Float32Array.of(3) });
  assertRefuses(
    "invalid_request",
    /initial\.indices: it is unknown/,
    () => readTensor({ indices: [] }, "initial"),
  );
});

Deno.test("readTensor() refuses integers that float32 cannot hold", () => {
  const int64 = {
    dtype: "int64",
    shape: [2, 2],
    base64: base64(BigInt64Array.of(0n, 1n, 2n ** 53n + 1n, 0n)),
  };
  assertRefuses(
    "invalid_number",
    /read variables\.0\.initial: it holds 9007199254740993 at \[1, 0\], must hold integers that float32 holds/,
    () => readTensor(int64, "variables.0.initial"),
  );
});
