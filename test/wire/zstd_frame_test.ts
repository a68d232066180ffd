import assert from "node:assert/strict";
import zlib from "node:zlib";
import { ZstdFrame } from "../../src/wire/zstd_frame.ts";

/** Noise gives raw blocks, zeros give run-length blocks, and a mixture of both gives compressed blocks. */
function contentOf(length: number, zeros: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    { length },
    (_, i) => i < length * zeros ? 0 : (Math.imul(i, 2654435761) >>> 13) & 255,
  );
}

async function streamed(content: Uint8Array, checksum: number): Promise<Uint8Array> {
  const encoder = zlib.createZstdCompress({ params: { [zlib.constants.ZSTD_c_checksumFlag]: checksum } });
  encoder.end(content);
  const chunks: Uint8Array[] = [];
  for await (const chunk of encoder) chunks.push(chunk);
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

Deno.test("ZstdFrame ends with the last byte of a frame of any form, whatever the pieces", async () => {
  for (const length of [0, 1, 100, 255, 256, 300, 70_000, 300_000]) {
    for (const zeros of [0, 0.5, 1]) {
      for (const checksum of [0, 1]) {
        const content = contentOf(length, zeros);
        const params = { [zlib.constants.ZSTD_c_checksumFlag]: checksum };
        const sized = Uint8Array.from(zlib.zstdCompressSync(content, { params }));
        for (const frame of [sized, await streamed(content, checksum)]) {
          const what = `${length} bytes, ${zeros} zeros, checksum ${checksum}`;
          const whole = new ZstdFrame();
          // Deno's one-shot encoder may append an empty frame to the first.
          const end = whole.walk(Uint8Array.from([...frame, 1, 2, 3]));
          const rest = frame.length - end;
          assert.ok(whole.isComplete && (rest === 0 || rest === 9 + 4 * checksum), `${what}: ${rest} left`);
          const pieces = new ZstdFrame();
          for (let at = 0; at < end; at += 7) {
            assert.ok(!pieces.isComplete, what);
            const piece = frame.subarray(at, Math.min(at + 7, end));
            assert.equal(pieces.walk(piece), piece.length, what);
          }
          assert.ok(pieces.isComplete, what);
          const cut = new ZstdFrame();
          cut.walk(frame.subarray(0, end - 1));
          assert.ok(!cut.isComplete, what);
        }
      }
    }
  }
});

Deno.test("ZstdFrame ends with the last byte of frames that the zstd 1.5.4 command writes", () => {
  // With --check and --no-check: nothing, 100 zeros, 300 zeros; hello; 70,000 zeros. All are single segments.
  const frames = [
    "28b52ffd240001000099e9d851",
    "28b52ffd2000010000",
    "28b52ffd246445000010000001003f012c2f502cc9",
    "28b52ffd206445000010000001003f012c",
    "28b52ffd642c004d00001000000100272ac00290ea003a",
    "28b52ffd602c004d00001000000100272ac002",
    "28b52ffd240529000068656c6c6fa36d9f88",
    "28b52ffda47011010055000010000001006b1139c002f865eb5e",
  ];
  for (const hex of frames) {
    const frame = Uint8Array.fromHex(hex);
    for (let length = 0; length <= frame.length; length++) {
      const walker = new ZstdFrame();
      assert.equal(walker.walk(frame.subarray(0, length)), length);
      assert.equal(walker.isComplete, length === frame.length, hex);
    }
    assert.equal(new ZstdFrame().walk(Uint8Array.from([...frame, ...frame])), frame.length);
  }
});

Deno.test("ZstdFrame never completes if the bytes are not a zstd frame", () => {
  const skippable = Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7);
  const frame = Uint8Array.from(zlib.zstdCompressSync("hello"));
  for (let i = 0; i < 4; i++) {
    const other = frame.slice();
    other[i]! ^= 1;
    for (const bytes of [skippable, other]) {
      const walker = new ZstdFrame();
      assert.equal(walker.walk(bytes), bytes.length);
      walker.walk(new Uint8Array(1000));
      assert.ok(!walker.isComplete);
    }
  }
});
