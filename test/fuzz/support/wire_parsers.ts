/** The parsers of bodies (src/wire/): JSON, tensors in it, safetensors, `__metadata__`, compressed bodies. */
import zlib from "node:zlib";
import fc from "fast-check";
import { isObject } from "../../../src/wire/tensor_source.ts";
import { tensorsIn } from "../../../src/wire/json_limits.ts";
import { JsonReader } from "../../../src/wire/json_reader.ts";
import { readTensor, writeTensors } from "../../../src/wire/json_tensors.ts";
import { gradientFields, noFields } from "../../../src/wire/metadata_fields.ts";
import { NestedNumbers } from "../../../src/wire/number_list.ts";
import { parseJson } from "../../../src/wire/parse_json.ts";
import { readBody } from "../../../src/wire/read_body.ts";
import { readJson } from "../../../src/wire/read_json.ts";
import { tensorFileReader } from "../../../src/wire/tensor_file.ts";
import { RecordingTarget } from "../../wire/support/recording_target.ts";
import { type Parser, pure } from "./law.ts";
import { joined } from "../../../src/wire/joined.ts";
import { chunks, cuts, damagedBytes } from "./texts.ts";
import { file, fileOf, jsonText, LARGE_HEADERS, LARGE_JSON, metadata, tensors } from "./wire_inputs.ts";

const UTF8 = new TextEncoder();

/** What a target was given, as plain data. */
function recorded(read: (target: RecordingTarget) => unknown) {
  const target = new RecordingTarget();
  const given = read(target);
  const packeds = [...target.packeds].map(([name, { tensor: { flat, scale }, sinks }]) =>
    [name, flat, scale?.block, sinks] as const
  );
  return [given, target.calls, target.denses, target.sparses, packeds];
}

/** Lists of numbers as arrays; the rest as it is. */
function plain(value: unknown): unknown {
  if (value instanceof NestedNumbers) return { shape: value.shape, segments: value.segments };
  if (Array.isArray(value)) return value.map(plain);
  if (!isObject(value)) return value;
  return Object.entries(value).map(([name, member]) => [name, plain(member)]);
}

const ENCODERS: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  gzip: (bytes) => zlib.gzipSync(bytes, { level: 1 }),
  deflate: (bytes) => zlib.deflateSync(bytes, { level: 1 }),
  br: (bytes) => zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } }),
  zstd: (bytes) => zlib.zstdCompressSync(bytes),
};
const encoded = fc.tuple(
  fc.constantFrom(...Object.keys(ENCODERS)),
  fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.constantFrom(100, 4000, 200_000).map((bytes) => new Uint8Array(bytes)),
  ),
  fc.constantFrom(1, 1, 1, 2, 40),
).chain(([encoding, bytes, count]) => {
  const whole = Uint8Array.from((ENCODERS[encoding] as typeof ENCODERS[string])(bytes));
  const all = joined(Array<Uint8Array>(count).fill(whole));
  const said = fc.oneof(
    { weight: 6, arbitrary: fc.constant(encoding) },
    fc.constantFrom("gzip", "x-gzip", "identity", "", "gzip, br", "GZIP", "compress"),
  );
  return fc.record({ encoding: said, bytes: damagedBytes(fc.constant(all)), declares: fc.boolean() });
});

/** Each costs some turns of the event loop, in which others are answered: many are slow, but no hang. */
const PIECES_MAX = 100;

/** As it comes from a socket: in pieces, with or without a length. */
function requestOf(bytes: Uint8Array<ArrayBuffer>, headers: HeadersInit, size = Infinity): Request {
  const pieceBytes = Math.max(size, Math.ceil(bytes.length / PIECES_MAX));
  const body = size === Infinity ? bytes : ReadableStream.from(chunks(bytes, pieceBytes));
  return new Request("http://localhost", { method: "POST", headers, body });
}

const LIMITS = { plainBytesMax: 200_000, valuesMax: 30_000, namesMax: 1000, places: tensorsIn("gradients") };

export const WIRE_PARSERS: readonly Parser[] = [
  pure({
    name: "JSON, at once",
    inputs: jsonText,
    extremes: LARGE_JSON,
    share: 6,
    read: (text) => parseJson(text),
  }),
  pure({
    name: "JSON, as it arrives",
    extremes: LARGE_JSON.map((text) => ({ text, size: 1000 })),
    inputs: fc.record({
      text: fc.oneof(jsonText, tensors.map((gradients) => JSON.stringify({ gradients }))),
      size: cuts,
    }),
    share: 6,
    read: ({ text, size }) => {
      const reader = new JsonReader(LIMITS);
      for (const chunk of chunks(UTF8.encode(text), size)) reader.write(chunk);
      return plain(reader.close());
    },
  }),
  pure({
    name: "JSON, of a request",
    inputs: fc.tuple(damagedBytes(jsonText.map((text) => UTF8.encode(text))), cuts, fc.boolean()),
    read: async ([bytes, size, declares]) => {
      const headers = declares ? { "Content-Length": String(bytes.length) } : [];
      return plain(
        await readJson(requestOf(bytes, headers, size), { bytesMax: 150_000, limits: () => LIMITS }),
      );
    },
  }),
  pure({
    name: "tensors in JSON",
    inputs: tensors,
    share: 6,
    read: (value) => recorded((target) => writeTensors(value, target, "gradients")),
  }),
  pure({
    name: "a tensor in JSON",
    inputs: tensors,
    share: 2,
    read: (value) => readTensor(value, "inputs.x"),
  }),
  pure({
    name: "safetensors",
    extremes: LARGE_HEADERS.map((header) => ({ bytes: fileOf(header), size: 64 << 10, surplus: undefined })),
    inputs: fc.record({ bytes: file, size: cuts, surplus: fc.constantFrom(undefined, 0, 0, 1, -1) }),
    share: 10,
    read: ({ bytes, size, surplus }) =>
      recorded((target) => {
        const seen: unknown[] = [];
        const reader = tensorFileReader(target, {
          fileBytes: surplus === undefined ? undefined : bytes.length + surplus,
          onMetadata: (metadata) => void seen.push([...metadata]),
        });
        for (const chunk of chunks(bytes, size)) reader.write(chunk);
        reader.close();
        return seen;
      }),
  }),
  pure({
    name: "fields of __metadata__",
    inputs: metadata,
    share: 3,
    read: (fields) => gradientFields(new Map(Object.entries(fields))),
  }),
  pure({
    name: "no fields of __metadata__",
    inputs: metadata,
    read: (fields) => noFields(new Map(Object.entries(fields))),
  }),
  pure({
    name: "compressed bodies",
    inputs: fc.tuple(encoded, cuts),
    share: 2,
    read: async ([{ encoding, bytes, declares }, size]) => {
      const headers = {
        "Content-Encoding": encoding,
        ...declares && { "Content-Length": String(bytes.length) },
      };
      const pieces: Uint8Array[] = [];
      const length = await readBody(
        requestOf(bytes, headers, size),
        { bytesMax: 150_000 },
        (piece) => void pieces.push(piece.slice()),
      );
      return [length, joined(pieces)];
    },
  }),
];
