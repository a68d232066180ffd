import assert from "node:assert/strict";
import { atOnce } from "../../src/slices.ts";
import fc from "fast-check";
import { SafetensorsReader } from "../../src/wire/safetensors_reader.ts";
import {
  encodeSafetensors,
  headerOf,
  layingOut,
  type WritableTensor,
} from "../../src/wire/safetensors_writer.ts";
import { until } from "../support/waiting.ts";
import { RecordingSink } from "./support/recording_target.ts";

const MIB = 1 << 20;

async function bytesOf(body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>) {
  return await new Response(body).bytes();
}

function read(file: Uint8Array, cuts: number[]) {
  const sinks = new Map<string, RecordingSink>();
  const shapes = new Map<string, readonly number[]>();
  let metadata: ReadonlyMap<string, string> = new Map();
  const reader = new SafetensorsReader({
    fileBytes: file.length,
    onHeader(header) {
      metadata = header.metadata;
      for (const { name, shape } of header.entries) {
        sinks.set(name, new RecordingSink());
        shapes.set(name, shape);
      }
      return sinks;
    },
  });
  let at = 0;
  for (const cut of [...cuts.sort((a, b) => a - b), file.length]) {
    reader.write(file.subarray(at, cut));
    at = Math.max(at, cut);
  }
  reader.close();
  return { sinks, shapes, metadata };
}

const name = fc.string({ unit: "grapheme", maxLength: 8 }).filter((text) => text !== "__metadata__");
const special = fc.constantFrom(0, -0, NaN, Infinity, -Infinity, 2 ** -149, 3.4028234663852886e38);
const float32s = fc.array(fc.oneof(fc.float(), special), { maxLength: 20 }).map((list) =>
  Float32Array.from(list)
);
const int64s = fc.array(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), { maxLength: 3 }).map((list) => {
  return BigInt64Array.from(list);
});
const tensor: fc.Arbitrary<WritableTensor> = fc.tuple(name, fc.oneof(float32s, int64s)).map(
  ([name, values]) => {
    return { name, shape: [values.length], values } as WritableTensor;
  },
);

Deno.test("encodeSafetensors() writes what SafetensorsReader reads, bit for bit, whatever the chunks", async () => {
  const tensors = fc.uniqueArray(tensor, { selector: (t) => t.name, maxLength: 6 });
  const metadata = fc.dictionary(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), {
    maxKeys: 3,
  });
  await fc.assert(
    fc.asyncProperty(tensors, metadata, fc.array(fc.nat(500)), async (tensors, metadata, cuts) => {
      const { byteLength, body } = encodeSafetensors(tensors, { metadata });
      const file = await bytesOf(body);
      assert.equal(file.length, byteLength);
      const got = read(file, cuts.map((cut) => Math.min(cut, file.length)));
      assert.deepEqual(new Map(got.metadata), new Map(Object.entries(metadata)));
      assert.equal(got.sinks.size, tensors.length);
      for (const { name, shape, values } of tensors) {
        assert.deepEqual(got.shapes.get(name), shape);
        assert.deepEqual(Uint8Array.from(got.sinks.get(name)!.bytes), new Uint8Array(values.buffer));
      }
    }),
  );
});

Deno.test("headerOf() aligns every tensor and pads to a multiple of 8", () => {
  const tensors: WritableTensor[] = [
    { name: "a", shape: [1], values: Float32Array.of(1) },
    { name: "z", shape: [], values: BigInt64Array.of(1n) },
    { name: "A", shape: [1], values: Float32Array.of(1) },
  ];
  const layout = atOnce(layingOut(tensors)), { ordered } = layout, bytes = headerOf(layout);
  assert.deepEqual(ordered.map((t) => t.name), ["z", "A", "a"]);
  assert.equal(bytes.length % 8, 0);
});

Deno.test("layingOut() refuses two tensors with the same name, and the name of the metadata", () => {
  const named = (name: string) => ({ name, shape: [], values: Float32Array.of(1) });
  assert.throws(() => atOnce(layingOut([named("a"), named("a")])), /Two entries .* "a"/);
  assert.throws(() => atOnce(layingOut([named("__metadata__")])), /"__metadata__"/);
});

Deno.test("encodeSafetensors() streams views of at most 1 MiB into large tensors' own memory, and small ones together", async () => {
  const values = new Float32Array(3 * MIB / 4 + 5).map((_, i) => i);
  const small = Float32Array.of(1, 2);
  const { byteLength, body } = encodeSafetensors([
    { name: "large", shape: [values.length], values },
    { name: "small", shape: [2], values: small },
    ...Array.from({ length: 100 }, (_, n) => ({ name: `tiny ${n}`, shape: [2], values: small })),
  ]);
  assert.ok(body instanceof ReadableStream);
  const lengths: number[] = [];
  let own = 0;
  for await (const piece of body) {
    lengths.push(piece.length);
    if (piece.buffer === values.buffer) own += piece.length;
  }
  assert.deepEqual(lengths.slice(1), [MIB, MIB, MIB, 20, 808]);
  assert.equal(own, values.byteLength);
  assert.equal(lengths.reduce((a, b) => a + b), byteLength);
  assert.equal(values.length, 3 * MIB / 4 + 5, "the memory is still there");
});

Deno.test("encodeSafetensors() writes a view into larger memory, and nothing around it", async () => {
  const memory = new Float32Array(40_000).fill(9);
  const values = memory.subarray(100, 30_000).fill(1);
  const { body } = encodeSafetensors([{ name: "w", shape: [values.length], values }]);
  const got = read(await bytesOf(body), []).sinks.get("w")!;
  assert.deepEqual(new Set(got.floats), new Set([1]));
});

Deno.test("encodeSafetensors() calls onEnd once when it reads no more of the tensors", async () => {
  const large = [{ name: "w", shape: [100_000], values: new Float32Array(100_000) }];
  let endCount = 0;
  const onEnd = () => void endCount++;
  encodeSafetensors([{ name: "w", shape: [], values: Float32Array.of(1) }], { onEnd });
  assert.equal(endCount, 1, "a copy ends at once");
  const whole = encodeSafetensors(large, { onEnd }).body as ReadableStream;
  assert.equal(endCount, 1, "nobody has read it yet");
  await bytesOf(whole);
  assert.equal(endCount, 2);
  const broken = encodeSafetensors(large, { onEnd }).body as ReadableStream;
  const reader = broken.getReader();
  await reader.read();
  assert.equal(endCount, 2);
  await reader.cancel();
  assert.equal(endCount, 3);
});

Deno.test("encodeSafetensors() reaches a client over a socket with its length, and ends when the client disconnects", async () => {
  const values = new Float32Array(2_000_000).map((_, i) => i);
  let endCount = 0;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => {
    const { byteLength, body } = encodeSafetensors([{ name: "w", shape: [values.length], values }], {
      onEnd: () => void endCount++,
    });
    return new Response(body, { headers: { "content-length": `${byteLength}` } });
  });
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const answer = await fetch(url);
  const file = await answer.bytes();
  assert.equal(answer.headers.get("content-length"), `${file.length}`);
  assert.deepEqual(new Uint8Array(values.buffer), file.subarray(-values.byteLength));
  const broken = await fetch(url);
  await broken.body!.cancel();
  await until(() => endCount > 1);
  assert.equal(endCount, 2);
  await server.shutdown();
});
