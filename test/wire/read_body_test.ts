import assert from "node:assert/strict";
import zlib from "node:zlib";
import { readBody, type ReadBodyOptions } from "../../src/wire/read_body.ts";
import { StepwellError } from "../../src/errors.ts";
import { assertRejects } from "./support/refusals.ts";

const ENCODERS: Record<string, (bytes: Uint8Array) => Uint8Array> = {
  gzip: (bytes) => zlib.gzipSync(bytes),
  deflate: (bytes) => zlib.deflateSync(bytes),
  br: (bytes) => zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } }),
  zstd: (bytes) => zlib.zstdCompressSync(bytes),
};

function noise(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (Math.imul(i, 2654435761) >>> 13) & 255);
}

function post(body: BodyInit | null, headers: Record<string, string> = {}): Request {
  return new Request("http://host/", { method: "POST", body, headers });
}

/** A body without a length that arrives in pieces; `cancelled` says whether it was cancelled. */
function streamed(pieces: Iterable<Uint8Array<ArrayBuffer>>, headers: Record<string, string> = {}) {
  const iterator = pieces[Symbol.iterator]();
  const state = { cancelled: false, pulled: 0 };
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      const { value, done } = iterator.next();
      if (done) controller.close();
      else {
        state.pulled++;
        controller.enqueue(value);
      }
    },
    cancel() {
      state.cancelled = true;
    },
  }, { highWaterMark: 0 });
  return { state, request: post(body, headers) };
}

async function readAll(request: Request, options: Partial<ReadBodyOptions> = {}): Promise<Uint8Array> {
  const bytes: number[] = [];
  const count = await readBody(request, { bytesMax: 1e6, ...options }, (chunk) => {
    for (const byte of chunk) bytes.push(byte);
  });
  assert.equal(count, bytes.length);
  return Uint8Array.from(bytes);
}

Deno.test("readBody() passes on the bytes of a body of any size and form", async () => {
  for (const length of [0, 1, 1000, 65_536, 65_537, 300_000]) {
    const bytes = noise(length);
    const known = { "content-length": String(length) };
    assert.deepEqual(await readAll(post(bytes)), bytes);
    assert.deepEqual(await readAll(post(bytes, known)), bytes);
    assert.deepEqual(await readAll(streamed([bytes]).request), bytes);
    const pieces = [bytes.slice(0, 10), bytes.slice(10)].filter((piece) => piece.length > 0);
    assert.deepEqual(await readAll(streamed(pieces, known).request), bytes);
  }
  assert.deepEqual(await readAll(new Request("http://host/")), new Uint8Array(0));
});

Deno.test("readBody() accepts a body of exactly bytesMax and refuses one byte more", async () => {
  const options = { bytesMax: 1000 };
  for (
    const [what, request] of [["known", (n: number) => post(noise(n), { "content-length": `${n}` })], [
      "unknown",
      (n: number) => streamed([noise(n)]).request,
    ]] as const
  ) {
    assert.equal((await readAll(request(1000), options)).length, 1000, what);
    await assertRejects("body_too_large", /must have 1000 at most/, () => readAll(request(1001), options));
  }
});

Deno.test("readBody() refuses by Content-Length before it reads, and cancels the body", async () => {
  const { request, state } = streamed([noise(10)], { "content-length": "1001" });
  await assertRejects("body_too_large", /has 1001 bytes/, () => readAll(request, { bytesMax: 1000 }));
  assert.deepEqual(state, { cancelled: true, pulled: 0 });
});

function* repeat(piece: Uint8Array<ArrayBuffer>, count = Infinity) {
  for (let i = 0; i < count; i++) yield piece;
}

Deno.test("readBody() stops a body without a length at the limit, and cancels it", async () => {
  const { request, state } = streamed(repeat(noise(100)));
  await assertRejects("body_too_large", /over 1000 bytes/, () => readAll(request, { bytesMax: 1000 }));
  assert.deepEqual(state, { cancelled: true, pulled: 11 });
});

Deno.test("readBody() throws incomplete_body when fewer bytes arrive than Content-Length says", async () => {
  for (const length of ["11", "100000"]) {
    const headers = { "content-length": length };
    await assertRejects("incomplete_body", /10 of \d+ bytes/, () => readAll(post(noise(10), headers)));
    await assertRejects(
      "incomplete_body",
      /10 of \d+ bytes/,
      () => readAll(streamed([noise(10)], headers).request),
    );
  }
});

Deno.test("readBody() refuses a Content-Length that is not a number", async () => {
  for (const length of ["", "-1", "1e3", "0x10", "99999999999999999999"]) {
    const request = post(noise(10), { "content-length": length });
    await assertRejects("malformed_header", /Content-Length/, () => readAll(request));
  }
});

Deno.test("readBody() passes on what the consumer throws, and cancels the body", async () => {
  const refusal = new StepwellError("shape_mismatch", "wrong");
  for (const encoding of ["identity", ...Object.keys(ENCODERS)]) {
    const bytes = ENCODERS[encoding]?.(noise(5000)) ?? noise(5000);
    const { request, state } = streamed(repeat(Uint8Array.from(bytes)), { "content-encoding": encoding });
    const reading = readBody(request, { bytesMax: 1e9 }, () => {
      throw refusal;
    });
    await assert.rejects(reading, refusal);
    assert.ok(state.cancelled, encoding);
  }
});

Deno.test("readBody() throws the signal's reason and cancels the body", async () => {
  const never = () =>
    new ReadableStream<Uint8Array>({
      pull: () => new Promise(() => {}),
      cancel: () => void cancelCount++,
    });
  let cancelCount = 0;
  const reason = new StepwellError("shutting_down", "bye");
  for (const headers of [{}, { "content-length": "500000" }, { "content-encoding": "gzip" }]) {
    const controller = new AbortController();
    const reading = readAll(post(never(), headers as Record<string, string>), { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 1);
    await assert.rejects(reading, reason);
  }
  assert.equal(cancelCount, 3);
  const small = new AbortController();
  const reading = readAll(post(never(), { "content-length": "10" }), { signal: small.signal });
  small.abort(reason);
  await assert.rejects(reading, reason);
  await assert.rejects(readAll(post(never()), { signal: AbortSignal.abort(reason) }), reason);
  assert.equal(cancelCount, 4);
});

Deno.test("readBody() decodes every encoding whatever the pieces", async () => {
  const bytes = noise(70_000);
  for (const [encoding, encode] of Object.entries(ENCODERS)) {
    const encoded = Uint8Array.from(encode(bytes));
    for (const size of [1000, 4096, 1e6]) {
      const pieces = [];
      for (let at = 0; at < encoded.length; at += size) pieces.push(encoded.slice(at, at + size));
      const { request } = streamed(pieces, { "content-encoding": encoding });
      assert.deepEqual(await readAll(request), bytes, encoding);
    }
    const headers = { "content-encoding": encoding.toUpperCase(), "content-length": `${encoded.length}` };
    assert.deepEqual(await readAll(post(encoded, headers)), bytes, encoding);
    const none = post(Uint8Array.from(encode(new Uint8Array(0))), { "content-encoding": encoding });
    assert.equal((await readAll(none)).length, 0, encoding);
  }
});

Deno.test("readBody() accepts several gzip members and zstd frames wherever the pieces are cut", async () => {
  for (const encoding of ["gzip", "zstd"]) {
    const one = ENCODERS[encoding]!(noise(100));
    const two = Uint8Array.from([...one, ...one]);
    for (let cut = 0; cut <= two.length; cut += 7) {
      const pieces = [two.slice(0, cut), two.slice(cut)];
      const { request } = streamed(pieces, { "content-encoding": encoding });
      assert.equal((await readAll(request)).length, 200, `${encoding} ${cut}`);
    }
  }
});

Deno.test("readBody() refuses every truncation and every appendix of an encoded body", async () => {
  for (const [encoding, encode] of Object.entries(ENCODERS)) {
    const encoded = Uint8Array.from(encode(noise(300)));
    const headers = { "content-encoding": encoding };
    for (let length = 0; length < encoded.length; length++) {
      const cut = post(encoded.slice(0, length), headers);
      await assertRejects("malformed_encoding", new RegExp(encoding), () => readAll(cut));
    }
    for (const tail of [[0], [1, 2, 3, 4, 5], [0x28]]) {
      const pieces = [encoded, Uint8Array.from(tail)];
      const whole = post(Uint8Array.from([...encoded, ...tail]), headers);
      await assertRejects("malformed_encoding", new RegExp(encoding), () => readAll(whole));
      await assertRejects("malformed_encoding", new RegExp(encoding), () => {
        return readAll(streamed(pieces, headers).request);
      });
    }
    await assertRejects(
      "malformed_encoding",
      new RegExp(encoding),
      () => readAll(post("plain text", headers)),
    );
  }
});

Deno.test("readBody() stops a decompression bomb at the limit, without holding its expansion", async () => {
  for (const [encoding, encode] of Object.entries(ENCODERS)) {
    const bomb = Uint8Array.from(encode(new Uint8Array(32 << 20)));
    let bytes = 0;
    let chunkBytesMax = 0;
    const reading = readBody(post(bomb, { "content-encoding": encoding }), { bytesMax: 1e6 }, (chunk) => {
      bytes += chunk.length;
      chunkBytesMax = Math.max(chunkBytesMax, chunk.length);
    });
    await assertRejects("body_too_large", /over 1000000 bytes/, () => reading);
    assert.ok(bytes <= 1e6, `${encoding}: ${bytes}`);
    assert.ok(chunkBytesMax <= 256 << 10, `${encoding}: ${chunkBytesMax}`);
  }
});

Deno.test("readBody() stops an endless encoded body that decodes to nothing", async () => {
  const gzipHead = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3);
  const emptyBlock = Uint8Array.of(0, 0, 0, 0xff, 0xff);
  function* endless() {
    yield gzipHead;
    yield* repeat(emptyBlock);
  }
  const gzip = streamed(endless(), { "content-encoding": "gzip" });
  await assertRejects("body_too_large", /encoded/, () => readAll(gzip.request, { bytesMax: 1000 }));
  assert.ok(gzip.state.cancelled);
  const zstd = streamed(repeat(Uint8Array.from(zlib.zstdCompressSync(""))), { "content-encoding": "zstd" });
  await assertRejects("malformed_encoding", /over 1024 frames/, () => readAll(zstd.request));
});

Deno.test("readBody() refuses a zstd window beyond 8 MiB", async () => {
  const params = { [zlib.constants.ZSTD_c_windowLog]: 24 };
  const large = zlib.createZstdCompress({ params });
  large.end(new Uint8Array(20 << 20));
  const encoded: number[] = [];
  for await (const chunk of large) encoded.push(...chunk);
  const request = post(Uint8Array.from(encoded), { "content-encoding": "zstd" });
  await assertRejects("malformed_encoding", /too much memory/, () => readAll(request, { bytesMax: 1e9 }));
});

Deno.test("readBody() refuses unknown and several encodings, and cancels the body", async () => {
  for (const encoding of ["gzip, br", "compress", "zip"]) {
    const { request, state } = streamed([noise(10)], { "content-encoding": encoding });
    await assertRejects(
      "unsupported_media_type",
      /identity, gzip, deflate, br, zstd/,
      () => readAll(request),
    );
    assert.ok(state.cancelled);
  }
});
