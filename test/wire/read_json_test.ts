import assert from "node:assert/strict";
import zlib from "node:zlib";
import type { JsonLimits } from "../../src/wire/json_limits.ts";
import { readJson } from "../../src/wire/read_json.ts";
import { assertRejects } from "./support/refusals.ts";

const limits = (): JsonLimits => ({ plainBytesMax: 1e8, valuesMax: 1e7, namesMax: 1e6 });
const OPTIONS = { bytesMax: 1e7, limits };
const ENCODERS: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  gzip: (bytes) => zlib.gzipSync(bytes),
  deflate: (bytes) => zlib.deflateSync(bytes),
  br: (bytes) => zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } }),
  zstd: (bytes) => zlib.zstdCompressSync(bytes),
};

function post(body: BodyInit, headers: Record<string, string> = {}): Request {
  return new Request("http://host/", { method: "POST", body, headers });
}

/** A body in every form: with its length, without it, in pieces, and in every encoding. */
function* forms(bytes: Uint8Array<ArrayBuffer>): Generator<Request> {
  yield post(bytes);
  yield post(bytes, { "content-length": `${bytes.length}` });
  const pieces = [bytes.slice(0, 7), bytes.slice(7, 30), bytes.slice(30)].filter(({ length }) => length > 0);
  yield post(ReadableStream.from(pieces));
  for (const [encoding, encode] of Object.entries(ENCODERS)) {
    yield post(Uint8Array.from(encode(bytes)), { "content-encoding": encoding });
  }
}

Deno.test("readJson() gives what JSON.parse gives, in every form of a body, short or long", async () => {
  for (const rows of [1, 20_000]) {
    const value = { a: [1, -0.5, "é😀", null], b: {}, rows: Array(rows).fill([{ x: 1 }, "ü"]) };
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    for (const request of forms(bytes)) assert.deepEqual(await readJson(request, OPTIONS), value);
  }
});

Deno.test("readJson() says where a text is not JSON, short or long", async () => {
  const cases: [string | Uint8Array<ArrayBuffer>, RegExp][] = [
    ["", /it is empty/],
    [" ", /unexpected end at line 1, column 2 \(offset 1\)/],
    ['{"a": [1,\n 2}', /unexpected "}" at line 2, column 3 \(offset 12\)/],
    ["nul", /unexpected "n" at line 1, column 1/],
    ["{} x", /unexpected "x" at line 1, column 4/],
    ['{"a": NaN}', /unexpected "N" at line 1, column 7/],
    ['{"a": 1, "a": 2}', /repeated key "a" at line 1, column 10/],
    ['{"a:b": 1, "a": {"c": [], "c": 0}}', /repeated key "c" at line 1, column 27/],
    ['[1, {"a": 1, "a": 2}]', /repeated key "a"/],
    [`${"[".repeat(65)}${"]".repeat(65)}`, /nested more than 64 deep/],
    [`${"[1,".repeat(65)}1${"]".repeat(65)}`, /nested more than 64 deep/],
    [Uint8Array.of(0x22, 0xff, 0x22), /not UTF-8/],
    [Uint8Array.of(0x22, 0xc3), /not UTF-8/],
    ["[".repeat(100_000), /nested more than 64 deep/],
    [`[${"1,".repeat(50_000)}x]`, /unexpected "x" at byte 100001/],
    [`{"b": 1,${" ".repeat(100_000)}"b": 2}`, /repeated key "b" before byte/],
    [`[1,\n${" ".repeat(100_000)}`, /unexpected end at byte 100005/],
  ];
  for (const [body, pattern] of cases) {
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    for (const request of forms(bytes)) {
      await assertRejects("malformed_json", pattern, () => readJson(request, OPTIONS));
    }
  }
});

Deno.test("readJson() asks for memory once a body is long, and takes no more before it has it", async () => {
  const bytes = new TextEncoder().encode(JSON.stringify(Array(50_000).fill(1)));
  let asked = 0;
  const onLong = async () => {
    asked++;
    await new Promise((resolve) => setTimeout(resolve, 5));
  };
  for (const request of forms(bytes)) {
    asked = 0;
    assert.equal((await readJson(request, { ...OPTIONS, onLong }) as unknown[]).length, 50_000);
    assert.equal(asked, 1);
  }
  assert.deepEqual(await readJson(post("[1]"), { ...OPTIONS, onLong: () => assert.fail() }), [1]);
});

Deno.test("readJson() stops a bomb at the depth, whatever it would expand to", async () => {
  const bomb = new Uint8Array(32 << 20).fill(0x5b);
  for (const [encoding, encode] of Object.entries(ENCODERS)) {
    const request = post(Uint8Array.from(encode(bomb)), { "content-encoding": encoding });
    await assertRejects(
      "malformed_json",
      /nested more than 64/,
      () => readJson(request, { ...OPTIONS, bytesMax: 1e9 }),
    );
  }
});
