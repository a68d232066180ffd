import assert from "node:assert/strict";
import fc from "fast-check";
import { StepwellError } from "../../src/errors.ts";
import type { ByteSink } from "../../src/tensor.ts";
import { SafetensorsReader } from "../../src/wire/safetensors_reader.ts";
import type { SafetensorsHeader } from "../../src/wire/safetensors_header.ts";
import { encodeSafetensors, type WritableTensor } from "../../src/wire/safetensors_writer.ts";
import { RecordingSink } from "./support/recording_target.ts";
import { assertRefuses } from "./support/refusals.ts";

/** A file with the given header and buffer; the prefix is correct unless given. */
function fileOf(header: string | Uint8Array, bufferBytes = 0, announced?: bigint): Uint8Array<ArrayBuffer> {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + text.length + bufferBytes);
  new DataView(file.buffer).setBigUint64(0, announced ?? BigInt(text.length), true);
  file.set(text, 8);
  for (let i = 0; i < bufferBytes; i++) file[8 + text.length + i] = i + 1;
  return file;
}

function read(
  file: Uint8Array,
  options: { cuts?: readonly number[]; fileBytes?: number; headerBytesMax?: number } = {},
) {
  const sinks = new Map<string, RecordingSink>();
  let header: SafetensorsHeader | undefined;
  const { cuts = [], ...rest } = options;
  const reader = new SafetensorsReader({
    ...rest,
    onHeader(parsed) {
      assert.equal(header, undefined, "onHeader is called once");
      header = parsed;
      for (const { name } of parsed.entries) sinks.set(name, new RecordingSink());
      return sinks;
    },
  });
  let at = 0;
  for (const cut of [...cuts, file.length]) {
    // A copy that is wiped afterwards, because the reader must not keep a chunk.
    const chunk = file.slice(at, cut);
    reader.write(chunk);
    chunk.fill(0xee);
    at = cut;
  }
  reader.close();
  return { header: header!, sinks };
}

const entry = (dtype: string, shape: number[], begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

Deno.test("SafetensorsReader gives every sink its own bytes whatever the chunks", () => {
  const header = JSON.stringify({
    b: entry("F32", [2], 4, 12),
    empty: entry("F32", [0, 3], 4, 4),
    a: entry("I32", [], 0, 4),
    __metadata__: { format: "pt" },
  });
  const file = fileOf(header, 12);
  fc.assert(fc.property(fc.array(fc.nat(file.length)), (cuts) => {
    const { header, sinks } = read(file, { cuts: cuts.sort((x, y) => x - y), fileBytes: file.length });
    assert.deepEqual(header.entries.map((e) => e.name), ["a", "empty", "b"]);
    assert.deepEqual([...header.metadata], [["format", "pt"]]);
    assert.deepEqual(sinks.get("a")!.bytes, [1, 2, 3, 4]);
    assert.deepEqual(sinks.get("empty")!.bytes, []);
    assert.deepEqual(sinks.get("b")!.bytes, [5, 6, 7, 8, 9, 10, 11, 12]);
    for (const sink of sinks.values()) assert.equal(sink.closeCount, 1);
  }));
});

Deno.test("SafetensorsReader closes empty tensors at every place without running out of stack", () => {
  const entries = Object.fromEntries(
    Array.from({ length: 20_000 }, (_, i) => [`e${i}`, entry("F32", [0], 0, 0)]),
  );
  const { sinks } = read(fileOf(JSON.stringify({ ...entries, a: entry("U8", [1], 0, 1) }), 1));
  assert.equal(sinks.size, 20_001);
  for (const sink of sinks.values()) assert.equal(sink.closeCount, 1);
});

Deno.test("SafetensorsReader keeps names that are special to JavaScript", () => {
  const { sinks } = read(fileOf(`{"__proto__":${JSON.stringify(entry("U8", [1], 0, 1))}}`, 1));
  assert.deepEqual(sinks.get("__proto__")!.bytes, [1]);
});

const MALFORMED: [string, Uint8Array, RegExp][] = [
  ["an empty header", fileOf(""), /header is empty/],
  [
    "a header beyond the format's bound",
    fileOf("{}", 0, 100_000_001n),
    /100000001 bytes, must have 100000000/,
  ],
  ["a header length of 2^64 - 1", fileOf("{}", 0, 2n ** 64n - 1n), /18446744073709551615 bytes/],
  ["a header that begins with a space", fileOf(" {}"), /begin with \{/],
  ["a header that is an array", fileOf("[]"), /begin with \{/],
  ["a header with a byte order mark", fileOf("\ufeff{}"), /begin with \{/],
  ["a header that is cut off", fileOf('{"a":'), /unexpected end at line 1, column 6/],
  ["a header that is not UTF-8", fileOf(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), /not UTF-8/],
  ["a header padded with NUL", fileOf("{}\0"), /unexpected "\\u0000"/],
  ["a repeated name", fileOf('{"a":{},"a":{}}'), /repeated key "a"/],
  ["a repeated field", fileOf('{"a":{"dtype":"U8","dtype":"U8"}}'), /repeated key "dtype"/],
  ["a repeated name in other letters", fileOf('{"a":{},"\\u0061":{}}'), /repeated key "a"/],
  ["metadata that is no object", fileOf('{"__metadata__":[]}'), /__metadata__ must be an object/],
  ["metadata that is no string", fileOf('{"__metadata__":{"a":1}}'), /__metadata__\.a must be a string/],
  ["an entry that is no object", fileOf('{"a":1}'), /"a" must be an object/],
  ["an unknown dtype", fileOf(JSON.stringify({ a: entry("F31", [1], 0, 4) }), 4), /unknown dtype "F31"/],
  ["no dtype", fileOf('{"a":{"shape":[],"data_offsets":[0,0]}}'), /unknown dtype/],
  [
    "an unknown field",
    fileOf(JSON.stringify({ a: { ...entry("U8", [1], 0, 1), x: 1 } }), 1),
    /unknown key "x"/,
  ],
  ["a negative dimension", fileOf(JSON.stringify({ a: entry("U8", [-1], 0, 0) })), /shape of integers/],
  [
    "a dimension of -0",
    fileOf('{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}'),
    /shape of integers/,
  ],
  ["a fractional dimension", fileOf(JSON.stringify({ a: entry("U8", [0.5], 0, 0) })), /shape of integers/],
  [
    "a shape that is no array",
    fileOf('{"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}}', 1),
    /shape of integers/,
  ],
  [
    "a dimension beyond 2^53",
    fileOf('{"a":{"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,1]}}', 1),
    /shape/,
  ],
  [
    "a product that overflows",
    fileOf(JSON.stringify({ a: entry("F32", [2 ** 40, 2 ** 40], 0, 4) }), 4),
    /not a whole number of bytes/,
  ],
  [
    "an overflow behind a zero",
    fileOf(JSON.stringify({ a: entry("F32", [0, 2 ** 40, 2 ** 40], 0, 0) })),
    /not a whole number of bytes/,
  ],
  [
    "bits that do not fill bytes",
    fileOf(JSON.stringify({ a: entry("F4", [3], 0, 2) }), 2),
    /not a whole number of bytes/,
  ],
  ["one offset", fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}', 1), /data_offsets of two/],
  ["offsets in the wrong order", fileOf(JSON.stringify({ a: entry("U8", [1], 1, 0) }), 1), /has -1 bytes/],
  [
    "too few bytes for the shape",
    fileOf(JSON.stringify({ a: entry("F32", [2], 0, 4) }), 4),
    /4 bytes, must have 8/,
  ],
  [
    "a hole in front",
    fileOf(JSON.stringify({ a: entry("U8", [1], 1, 2) }), 2),
    /begins at byte 1, must begin at 0/,
  ],
  [
    "a hole between",
    fileOf(JSON.stringify({ a: entry("U8", [1], 0, 1), b: entry("U8", [1], 2, 3) }), 3),
    /begins at byte 2, must begin at 1/,
  ],
  [
    "an overlap",
    fileOf(JSON.stringify({ a: entry("U8", [2], 0, 2), b: entry("U8", [2], 1, 3) }), 3),
    /begins at byte 1, must begin at 2/,
  ],
  [
    "an alias",
    fileOf(JSON.stringify({ a: entry("U8", [2], 0, 2), b: entry("U8", [2], 0, 2) }), 2),
    /begins at byte 0, must begin at 2/,
  ],
  [
    "a trailing byte",
    fileOf(JSON.stringify({ a: entry("U8", [1], 0, 1) }), 2),
    /bytes follow the last tensor/,
  ],
  ["a name that is half a character", fileOf('{"\\ud800":{}}'), /not Unicode/],
  [
    "a header nested without end",
    fileOf("{" + '"a":['.repeat(1) + "[".repeat(100_000)),
    /nested more than 64 deep/,
  ],
];

Deno.test("SafetensorsReader refuses every break of the format", async (t) => {
  for (const [what, file, pattern] of MALFORMED) {
    await t.step(what, () => {
      assertRefuses("malformed_safetensors", pattern, () => read(file));
      const cuts = Array.from({ length: Math.min(file.length, 300) }, (_, i) => i);
      assertRefuses("malformed_safetensors", pattern, () => read(file, { cuts }));
    });
  }
});

Deno.test("SafetensorsReader refuses a header beyond the caller's limit before it arrives", () => {
  const reader = new SafetensorsReader({ onHeader: () => new Map(), headerBytesMax: 100 });
  assertRefuses("body_too_large", /101 bytes, must have 100/, () => reader.write(fileOf("", 0, 101n)));
  assert.equal(read(fileOf("{}".padEnd(100)), { headerBytesMax: 100 }).sinks.size, 0);
});

Deno.test("SafetensorsReader refuses a header that disagrees with the file's length before any tensor byte", () => {
  const file = fileOf(JSON.stringify({ a: entry("U8", [4], 0, 4) }), 4);
  const onHeader = () => assert.fail("onHeader is not to be called");
  const open = (fileBytes: number) => new SafetensorsReader({ onHeader, fileBytes });
  const head = file.subarray(0, -4);
  const lengths = new RegExp(`describes ${file.length} bytes, the body has `);
  assertRefuses("incomplete_body", lengths, () => open(file.length - 1).write(head));
  assertRefuses("malformed_safetensors", lengths, () => open(file.length + 1).write(head));
  assertRefuses(
    "incomplete_body",
    /header ends at byte 61, the body at 9/,
    () => open(9).write(file.subarray(0, 8)),
  );
});

Deno.test("SafetensorsReader does not allocate the length that a prefix merely announces", () => {
  // 4000 readers with an announced header of 100 MB each would need 400 GB.
  const readers = Array.from({ length: 4000 }, () => {
    const reader = new SafetensorsReader({ onHeader: () => new Map(), headerBytesMax: 100_000_000 });
    reader.write(fileOf('{"a"', 0, 100_000_000n));
    return reader;
  });
  assertRefuses(
    "incomplete_body",
    /12 bytes of its header arrived, 100000008 are announced/,
    () => readers[0]!.close(),
  );
});

Deno.test("SafetensorsReader throws incomplete_body for every truncation of a file", () => {
  const tensors: WritableTensor[] = [
    { name: "w", shape: [2, 2], values: Float32Array.of(1, 2, 3, 4) },
    { name: "iterations", shape: [], values: BigInt64Array.of(7n) },
  ];
  const file = encodeSafetensors(tensors, { metadata: { format: "pt" } }).body as Uint8Array;
  read(file);
  for (let length = 0; length < file.length; length++) {
    assertRefuses(
      "incomplete_body",
      /Cannot read the safetensors body/,
      () => read(file.subarray(0, length)),
    );
    const fileBytes = length;
    assertRefuses("incomplete_body", /./, () => read(file.subarray(0, length), { fileBytes }));
  }
});

Deno.test("SafetensorsReader passes on what onHeader and sinks throw", () => {
  const file = fileOf(JSON.stringify({ a: entry("U8", [1], 0, 1) }), 1);
  const refusal = new StepwellError("unknown_variable", "no");
  const throwing: ByteSink = {
    write() {
      throw refusal;
    },
    close() {},
  };
  for (const onHeader of [() => throwing.write(file) as never, () => new Map([["a", throwing]])]) {
    assertRefuses("unknown_variable", /no/, () => new SafetensorsReader({ onHeader }).write(file));
  }
});

Deno.test("SafetensorsReader only refuses arbitrarily damaged files", () => {
  const header = JSON.stringify({
    a: entry("F32", [2], 0, 8),
    b: entry("I64", [1], 8, 16),
    __metadata__: { x: "y" },
  });
  const file = fileOf(header, 16);
  const damage = fc.array(fc.tuple(fc.nat(file.length - 1), fc.integer({ min: 0, max: 255 })), {
    maxLength: 6,
  });
  fc.assert(
    fc.property(damage, fc.nat(file.length), (edits, cut) => {
      const damaged = file.slice();
      for (const [at, byte] of edits) damaged[at] = byte;
      try {
        const { header, sinks } = read(damaged, { cuts: [cut] });
        let bytes = 0;
        for (const sink of sinks.values()) bytes += sink.bytes.length;
        assert.equal(bytes, header.bufferBytes);
      } catch (error) {
        assert.ok(error instanceof StepwellError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    try {
      read(bytes);
    } catch (error) {
      assert.ok(error instanceof StepwellError, String(error));
    }
  }));
});
