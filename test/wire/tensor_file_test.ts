import assert from "node:assert/strict";
import fc from "fast-check";
import { type ErrorCode, StepwellError } from "../../src/errors.ts";
import { tensorFileReader } from "../../src/wire/tensor_file.ts";
import { type RecordingSink, RecordingTarget } from "./support/recording_target.ts";
import { assertRefuses } from "./support/refusals.ts";

const BYTES: Record<string, number> = {
  F32: 4,
  F16: 2,
  BF16: 2,
  F64: 8,
  I32: 4,
  I64: 8,
  I8: 1,
  U8: 1,
  F8_E4M3: 1,
};

/** A file of entries in the given order, with bytes that count up. */
function fileOf(
  entries: [name: string, dtype: string, shape: number[]][],
  metadata?: Record<string, string>,
): Uint8Array<ArrayBuffer> {
  let end = 0;
  const header = entries.map(([name, dtype, shape]) => {
    const bytes = shape.reduce((a, b) => a * b, BYTES[dtype]!);
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [end, end += bytes] })}`;
  });
  if (metadata) header.push(`"__metadata__":${JSON.stringify(metadata)}`);
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

Deno.test("tensorFileReader() pairs indices with values for any order of the file and any chunks", () => {
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

Deno.test("tensorFileReader() finds the parts of compact forms for any order of the file and any chunks", () => {
  const entries: [string, string, number[]][] = [
    ["w", "I8", [2, 3]],
    ["w#scale", "F32", [2]],
    ["emb#indices", "I32", [1]],
    ["emb#values", "I8", [1, 2]],
    ["emb#scale", "F32", [1]],
    ["top#indices", "I64", [1]],
    ["top#values", "BF16", [1]],
    ["rows#indices", "I32", [1]],
    ["rows#values", "F32", [1]],
  ];
  const metadata = { block: "4", flat: '["top"]' };
  fc.assert(fc.property(fc.shuffledSubarray(entries, { minLength: 9 }), fc.nat(600), (order, cut) => {
    const target = read(fileOf(order, metadata), cut);
    assert.deepEqual(target.calls.toSorted(), ["packed emb", "packed top", "packed w", "sparse rows"]);
    const parts = Object.fromEntries(
      [...target.packeds].map(([name, { tensor: { values, scale, indices, flat } }]) => [
        name,
        { values: values.dtype, indices: indices?.dtype, scale: scale?.shape, block: scale?.block, flat },
      ]),
    );
    assert.deepEqual(parts, {
      w: { values: "I8", indices: undefined, scale: [2], block: 4, flat: false },
      emb: { values: "I8", indices: "I32", scale: [1], block: 4, flat: false },
      top: { values: "BF16", indices: "I64", scale: undefined, block: undefined, flat: true },
    });
    const sinks = new Map([...target.packeds].flatMap(([name, { sinks }]) => {
      const { values, scale, indices } = sinks;
      return [[indices ? `${name}#values` : name, values], [`${name}#scale`, scale], [
        `${name}#indices`,
        indices,
      ]];
    }) as [string, RecordingSink | undefined][]);
    const rows = target.sparses.get("rows")!;
    sinks.set("rows#indices", rows.indices.sink).set("rows#values", rows.values.sink);
    const bytes = order.flatMap(([name]) => sinks.get(name)!.bytes);
    assert.deepEqual(bytes, Array.from({ length: 6 + 8 + 4 + 2 + 4 + 8 + 2 + 4 + 4 }, (_, i) => i));
    for (const sink of sinks.values()) assert.ok(!sink || sink.closeCount === 1);
  }));
});

Deno.test("tensorFileReader() takes 64 as the block, and all tensors with indices as flat for *", () => {
  const file = (flat: string) =>
    fileOf([
      ["w", "I8", [65]],
      ["w#scale", "F32", [2]],
      ["e#indices", "I32", [3]],
      ["e#values", "F16", [3]],
    ], { flat });
  assert.equal(read(file("[]")).packeds.get("w")!.tensor.scale!.block, 64);
  assert.deepEqual(read(file("[]")).calls, ["packed w", "sparse e"]);
  const all = read(file("*"));
  assert.deepEqual(all.calls, ["packed w", "packed e"]);
  assert.deepEqual([all.packeds.get("w")!.tensor.flat, all.packeds.get("e")!.tensor.flat], [false, true]);
});

Deno.test("tensorFileReader() refuses compact forms if the target accepts none, and then reads no metadata", () => {
  const target = () => {
    const { dense, sparse, none } = RecordingTarget.prototype;
    const plain = Object.assign(new RecordingTarget(), { dense, sparse, none });
    return Object.defineProperty(plain, "packed", { value: undefined });
  };
  assertRefuses(
    "invalid_request",
    /read w: it is in a compact form, must be plain here/,
    () => tensorFileReader(target()).write(fileOf([["w", "I8", [1]], ["w#scale", "F32", [1]]])),
  );
  const sparse = target();
  const metadata = { flat: "*", block: "none" };
  tensorFileReader(sparse).write(fileOf([["e#indices", "I32", [1]], ["e#values", "F32", [1]]], metadata));
  assert.deepEqual(sparse.calls, ["sparse e"]);
});

const REFUSED: [
  string,
  ErrorCode,
  Parameters<typeof fileOf>[0],
  RegExp,
  metadata?: Record<string, string>,
][] = [
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
  [
    "another word behind #",
    "invalid_request",
    [["e#value", "F32", [1]]],
    /read e#value: it has a #, which must be followed by/,
  ],
  ["two #", "invalid_request", [["a#b#values", "F32", [1]]], /read a#b#values: it has a #/],
  ["a dtype of no gradient", "dtype_mismatch", [["e", "F8_E4M3", [1]]], /read e: it has the dtype F8_E4M3/],
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
  [
    "a scale alone",
    "invalid_request",
    [["e#scale", "F32", [1]]],
    /read e: it is missing, but its scale is present/,
  ],
  [
    "a scale of float values",
    "dtype_mismatch",
    [["e", "F16", [1]], ["e#scale", "F32", [1]]],
    /read e: it has a scale and values of dtype F16, must have I8/,
  ],
  [
    "a scale of another dtype",
    "dtype_mismatch",
    [["e", "I8", [1]], ["e#scale", "F16", [1]]],
    /read e: it has a scale of dtype F16, must have F32/,
  ],
  [
    "one scale too few",
    "shape_mismatch",
    [["e", "I8", [5, 13]], ["e#scale", "F32", [1]]],
    /read e: it has a scale of shape \[1\], must have \[2\]: one for each block of 64 of its 65 values/,
  ],
  [
    "one scale too many",
    "shape_mismatch",
    [["e", "I8", [64]], ["e#scale", "F32", [2]]],
    /scale of shape \[2\], must have \[1\]/,
  ],
  [
    "scales in rows",
    "shape_mismatch",
    [["e", "I8", [2, 2]], ["e#scale", "F32", [2, 1]]],
    /scale of shape \[2, 1\], must have \[2\]: one for each block of 2 of its 4/,
    { block: "2" },
  ],
  ...["0", "-1", "1.5", "64 ", "0x40", "", "1e2", "9007199254740993"].map((
    block,
  ): typeof REFUSED[number] => [
    `a block of "${block}"`,
    "invalid_request",
    [["e", "I8", [1]], ["e#scale", "F32", [1]]],
    /read __metadata__\.block: it must be an integer from 1/,
    { block },
  ]),
  ...["e", "true", '"e"', "[1]", '{"e": true}', ""].map((flat): typeof REFUSED[number] => [
    `flat as ${flat}`,
    "invalid_request",
    [["e#indices", "I32", [1]], ["e#values", "F32", [1]]],
    /read __metadata__\.flat: it must be \* or a JSON array of names/,
    { flat },
  ]),
  [
    "flat of a tensor without indices",
    "invalid_request",
    [["e", "F32", [1]]],
    /read __metadata__\.flat: it names "e", which has no indices in this body/,
    { flat: '["e"]' },
  ],
  [
    "flat values in rows",
    "shape_mismatch",
    [["e#indices", "I32", [2]], ["e#values", "F32", [2, 1]]],
    /indices of shape \[2\] and values of shape \[2, 1\], must have \[n\] and \[n\]: it is flat/,
    { flat: "*" },
  ],
  [
    "flat values for other indices",
    "shape_mismatch",
    [["e#indices", "I32", [2]], ["e#values", "F32", [3]]],
    /shape \[2\] and values of shape \[3\]/,
    { flat: "*" },
  ],
];

Deno.test("tensorFileReader() refuses every other form before it calls the target", async (t) => {
  for (const [what, code, entries, pattern, metadata] of REFUSED) {
    await t.step(what, () => {
      const target = new RecordingTarget();
      const file = fileOf([["first", "F32", [1]], ...entries], metadata);
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
