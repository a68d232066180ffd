/** JSON texts, tensors in JSON, safetensors files and their `__metadata__`, mostly nearly right. */
import fc from "fast-check";
import { joined } from "../../../src/wire/joined.ts";
import {
  damaged,
  damagedBytes,
  jsonOf,
  leaf,
  piled,
  repeated,
  repetitions,
  seldom,
  twisted,
} from "./texts.ts";

const UTF8 = new TextEncoder();

const TOKENS = ["{", "}", "[", "]", ",", ":", '"a"', '"b":', "1", "-2.5e3", "true", "null", " ", '"\\u0041"'];
const JSON_PIECES = [
  ...[
    "[",
    '{"a":',
    '{"gradients":{"w":[',
    "0,",
    "1.5e3,",
    '"x",',
    '"a":1,',
    "{},",
    "[],",
    '\\"',
    "\\u0000",
    " ",
    "9",
  ],
];
const JSON_ENDS = {
  begins: ["", "[", "{", '{"gradients":{"w":[', '"', '{"a":['],
  ends: ["", "0]", "]}}", '"', "}"],
};
export const LARGE_JSON = repetitions(JSON_PIECES, { ...JSON_ENDS, ends: ["]}}"] });

/** Texts that are JSON, or nearly. */
export const jsonText = seldom(
  fc.oneof(damaged(fc.json({ maxDepth: 6 })), piled(TOKENS)),
  repeated(JSON_PIECES, JSON_ENDS),
  100,
);

const TENSOR_NAMES = ["w", "b", "indices", "values", "scale", "block", "flat", "dtype", "shape", "base64"];
const base64 = fc.uint8Array({ maxLength: 24 }).map((bytes) => bytes.toBase64());
const tensorLeaf = fc.oneof(
  leaf,
  base64,
  fc.array(leaf, { maxLength: 4 }),
  fc.array(fc.nat(5), { maxLength: 4 }),
);
const WHOLE_TENSORS = {
  w: [[1, 2], [3, -0.5]],
  b: { dtype: "float16", shape: [2], base64: "AAAAAA==" },
  rows: { indices: [0, 1, 1], values: [[1], [2], [3]] },
  top: { indices: { dtype: "int64", shape: [1], base64: "AAAAAAAAAAA=" }, values: [2], flat: true },
  int8: { values: { dtype: "int8", shape: [3], base64: "AQID" }, scale: [0.5], block: 64 },
  none: null,
};
export const tensors = fc.oneof(
  jsonOf(TENSOR_NAMES, tensorLeaf),
  twisted(WHOLE_TENSORS, tensorLeaf),
  ...Object.values(WHOLE_TENSORS).map((tensor) => twisted(tensor, tensorLeaf).map((w) => ({ w }))),
);

/** Fields of `__metadata__`, as texts. */
const metadataText = fc.oneof(
  fc.constantFrom("1", "0", "-1", "1e999", "*", "[]", '["w"]', '{"learning_rate":0.1}', "null", "", "NaN"),
  damaged(fc.json({ maxDepth: 3 })),
);
const METADATA_NAMES = ["base_iteration", "client_id", "weight", "hyperparameters", "loss", "block", "flat"];
const metadataName = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...METADATA_NAMES) },
  damaged(fc.constantFrom(...METADATA_NAMES, "format", "version")),
  fc.string({ unit: "binary" }),
);
export const metadata = fc.dictionary(metadataName, metadataText, { maxKeys: 5 });

/** A header whose entries mostly fit each other, and bytes that mostly fit it. */
const tensorFile = fc.tuple(
  fc.array(
    fc.record({
      name: fc.oneof(
        fc.constantFrom(
          "w",
          "b",
          "w#indices",
          "w#values",
          "w#scale",
          "b#scale",
          "__metadata__",
          "w#x",
          "#indices",
        ),
        fc.string({ maxLength: 4, unit: "binary" }),
      ),
      dtype: fc.constantFrom(
        "F32",
        "F16",
        "BF16",
        "F64",
        "I8",
        "U8",
        "I32",
        "I64",
        "BOOL",
        "F8_E4M3",
        "F4",
        "U64",
        "x",
      ),
      shape: fc.oneof(
        { weight: 6, arbitrary: fc.array(fc.nat(4), { maxLength: 3 }) },
        fc.constantFrom([2 ** 31, 2 ** 31], [2 ** 53 - 1], [2 ** 53], [0, 2 ** 53 - 1], [-1], [0.5]),
      ),
      shift: fc.oneof(
        { weight: 12, arbitrary: fc.constant(0) },
        fc.constantFrom(1, -1, 4, -4, 2 ** 53, -(2 ** 53)),
      ),
    }),
    { maxLength: 4 },
  ),
  fc.option(metadata, { nil: undefined }),
  fc.constantFrom(0, 0, 0, 1, -1, 8),
).map(([entries, metadata, surplus]) => {
  const bytesOf: Readonly<Record<string, number>> = {
    ...{
      F32: 4,
      F16: 2,
      BF16: 2,
      F64: 8,
      I8: 1,
      U8: 1,
      I32: 4,
      I64: 8,
      BOOL: 1,
      F8_E4M3: 1,
      F4: 0.5,
      U64: 8,
    },
  };
  let end = 0;
  const parts = entries.map(({ name, dtype, shape, shift }) => {
    const bytes = shape.reduce((product, size) => product * size, bytesOf[dtype] ?? 1);
    const offsets = [end, end += bytes + shift];
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: offsets })}`;
  });
  // A text, because an object cannot say a name twice.
  const all = [...metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : [], ...parts];
  const bytes = Number.isSafeInteger(end) ? Math.min(Math.max(0, end + surplus), 4096) : 0;
  return { header: `{${all.join()}}`, body: new Uint8Array(bytes).fill(1) };
});

const HEADER_PIECES = [
  ...[
    "[",
    '{"a":',
    '"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},',
    '"x":1,',
    "0,",
    "\\u0000",
    " ",
    "é",
  ],
  '"weigth":"1",',
];
const HEADER_ENDS = {
  begins: ["{", '{"a":', '{"__metadata__":{', '{"a":{"shape":[', '{"'],
  ends: ["", "}", "0]}}"],
};
const withoutBody = (header: string) => ({ header, body: new Uint8Array(0) });
/** Names that differ, which repetitions do not have. */
const MANY_NAMES = Array.from({ length: 20_000 }, (_, at) => at);
export const LARGE_HEADERS = [
  ...repetitions(HEADER_PIECES, { ...HEADER_ENDS, ends: ["}"] }),
  `{"__metadata__":{${MANY_NAMES.map((at) => `"weight of ${at}":"1"`)}}}`,
  `{${MANY_NAMES.map((at) => `"w${at}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`)}}`,
];

export function fileOf(
  header: string,
  announced?: bigint,
  body = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  const text = UTF8.encode(header), prefix = new Uint8Array(8);
  const length = announced ?? BigInt(text.length);
  new DataView(prefix.buffer).setBigUint64(0, length & (2n ** 64n - 1n), true);
  return joined([prefix, text, body]);
}

const LENGTHS = [0n, 1n, 2n ** 63n, 2n ** 64n - 1n];
const fileBytes = fc.tuple(
  seldom(tensorFile, repeated(HEADER_PIECES, HEADER_ENDS).map(withoutBody), 100),
  seldom(fc.constant(undefined), fc.constantFrom(...LENGTHS), 12),
).map(([{ header, body }, announced]) => fileOf(header, announced, body));

/** A safetensors file, or nearly. */
export const file = seldom(
  fc.oneof({ weight: 3, arbitrary: fileBytes }, damagedBytes(fileBytes)),
  fc.uint8Array({ maxLength: 40 }) as fc.Arbitrary<Uint8Array<ArrayBuffer>>,
  20,
);
