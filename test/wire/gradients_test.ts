import assert from "node:assert/strict";
import fc from "fast-check";
import { type ErrorCode, StepwellError } from "../../src/errors.ts";
import { gradientFields, tensorFileReader } from "../../src/wire/gradients.ts";
import { RecordingTarget } from "./recording_target.ts";
import { assertRefuses } from "./refusals.ts";

const BYTES: Record<string, number> = { F32: 4, F16: 2, BF16: 2, F64: 8, I32: 4, I64: 8, U8: 1 };

/** A file of entries in the order given, whose bytes count up. */
function fileOf(entries: [name: string, dtype: string, shape: number[]][]): Uint8Array<ArrayBuffer> {
  let end = 0;
  const header = entries.map(([name, dtype, shape]) => {
    const bytes = shape.reduce((a, b) => a * b, BYTES[dtype]!);
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [end, end += bytes] })}`;
  });
  const text = new TextEncoder().encode(`{${header.join(",")}}`);
  const file = new Uint8Array(8 + text.length + end).map((_, i) => i - 8 - text.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  return file;
}

function read(file: Uint8Array, cut = file.length): RecordingTarget {
  const target = new RecordingTarget();
  const reader = tensorFileReader(target, { fileBytes: file.length });
  reader.write(file.subarray(0, cut));
  reader.write(file.subarray(cut));
  reader.close();
  return target;
}

Deno.test("tensorFileReader() pairs indices with values in any order of the file and any chunks", () => {
  const entries: [string, string, number[]][] = [
    ["w", "BF16", [2]],
    ["emb#indices", "I32", [1]],
    ["emb#values", "F32", [1, 2]],
  ];
  fc.assert(fc.property(fc.shuffledSubarray(entries, { minLength: 3 }), fc.nat(200), (order, cut) => {
    const target = read(fileOf(order), cut);
    const emb = target.sparses.get("emb")!;
    assert.deepEqual([emb.indices.dtype, emb.indices.shape], ["I32", [1]]);
    assert.deepEqual([emb.values.dtype, emb.values.shape], ["F32", [1, 2]]);
    assert.deepEqual([target.denses.get("w")!.dtype, target.denses.get("w")!.shape], ["BF16", [2]]);
    const sinks: Record<string, number[]> = {
      w: target.denses.get("w")!.sink.bytes,
      "emb#indices": emb.indices.sink.bytes,
      "emb#values": emb.values.sink.bytes,
    };
    assert.deepEqual(order.flatMap(([name]) => sinks[name]!), Array.from({ length: 16 }, (_, i) => i));
  }));
});

const REFUSED: [string, ErrorCode, Parameters<typeof fileOf>[0], RegExp][] = [
  ["values without indices", "invalid_request", [["e#values", "F32", [1]]], /read e#indices: it is missing/],
  ["indices without values", "invalid_request", [["e#indices", "I32", [1]]], /read e#values: it is missing/],
  [
    "a dense and sparse tensor",
    "invalid_request",
    [["e", "F32", [1]], ["e#indices", "I32", [1]], ["e#values", "F32", [1]]],
    /read e: it is both dense and sparse/,
  ],
  [
    "a half beside a dense one",
    "invalid_request",
    [["e", "F32", [1]], ["e#values", "F32", [1]]],
    /both dense and/,
  ],
  ["another word behind #", "invalid_request", [["e#scale", "F32", [1]]], /read e#scale: it has a #/],
  ["two #", "invalid_request", [["a#b#values", "F32", [1]]], /read a#b#values: it has a #/],
  ["a dtype of no gradient", "dtype_mismatch", [["e", "U8", [1]]], /read e: it has the dtype U8/],
  [
    "float indices",
    "dtype_mismatch",
    [["e#indices", "F32", [1]], ["e#values", "F32", [1]]],
    /must have I32 or I64/,
  ],
  [
    "more rows than indices",
    "shape_mismatch",
    [["e#indices", "I64", [1]], ["e#values", "F32", [2]]],
    /indices of shape \[1\] and values of shape \[2\]/,
  ],
  [
    "a scalar of indices",
    "shape_mismatch",
    [["e#indices", "I64", []], ["e#values", "F32", []]],
    /must have \[rows\]/,
  ],
];

Deno.test("tensorFileReader() refuses every other form before the target hears of it", async (t) => {
  for (const [what, code, entries, pattern] of REFUSED) {
    await t.step(what, () => {
      const target = new RecordingTarget();
      const file = fileOf([["first", "F32", [1]], ...entries]);
      assertRefuses(code, pattern, () => tensorFileReader(target).write(file));
      assert.deepEqual(target.calls, []);
    });
  }
});

Deno.test("tensorFileReader() asks onMetadata before the target, and lets it refuse", () => {
  const target = new RecordingTarget();
  const onMetadata = () => {
    throw new StepwellError("run_exists", "no");
  };
  assertRefuses(
    "run_exists",
    /no/,
    () => tensorFileReader(target, { onMetadata }).write(fileOf([["w", "F32", []]])),
  );
  assert.deepEqual(target.calls, []);
});

Deno.test("gradientFields() types the fields as a JSON body has them", () => {
  const metadata = new Map([
    ["base_iteration", "12"],
    ["client_id", "7"],
    ["weight", "1e2"],
    ["hyperparameters", '{"learning_rate": 0.5}'],
    ["format", "pt"],
  ]);
  assert.deepEqual(gradientFields(metadata), {
    base_iteration: 12,
    client_id: "7",
    weight: 100,
    hyperparameters: { learning_rate: 0.5 },
  });
  assert.deepEqual(gradientFields(new Map()), {});
});

Deno.test("gradientFields() refuses unknown keys and text that is not what the key wants", () => {
  const cases: [string, string, RegExp][] = [
    ["momentum", "1", /__metadata__\.momentum: it is unknown, must be one of base_iteration,/],
    ["__proto__", "1", /__metadata__\.__proto__: it is unknown/],
    ["base_iteration", "", /base_iteration: it must be a number/],
    ["base_iteration", "0x10", /base_iteration: it must be a number/],
    ["base_iteration", '"1"', /base_iteration: it must be a number/],
    ["weight", "NaN", /weight: it must be a number/],
    ["hyperparameters", "[1]", /hyperparameters: it must be a JSON object/],
    ["hyperparameters", "null", /hyperparameters: it must be a JSON object/],
    ["hyperparameters", "{", /hyperparameters: it must be a JSON object/],
  ];
  for (const [key, text, pattern] of cases) {
    assertRefuses("invalid_request", pattern, () => gradientFields(new Map([[key, text]])));
  }
});
