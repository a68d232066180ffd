/** Tests of int8 blocks: every element against the definition, for every alignment of pieces and blocks. */
import assert from "node:assert/strict";
import { Arena } from "../../../kernels/arena.ts";
import { decodeBlocks } from "../../../kernels/routines/blocks.ts";
import { random, sameBits, SPECIAL } from "../support/special.ts";

const GUARD = 0x5ca1ab1e;
const COUNT = 150;

function scene(block: number, seed: number) {
  const arena = new Arena({ bytesMax: 1 << 20 });
  const scaleCount = Math.ceil(COUNT / block);
  const at = {
    // Values may begin anywhere in the journal's bytes, so they are unaligned here.
    values: arena.allocate(COUNT + 3) + 3,
    scales: arena.allocate(4 * scaleCount),
    target: arena.allocate(4 * (COUNT + 1)),
    block,
  };
  const next = random(seed);
  const values = new Int8Array(arena.buffer, at.values, COUNT);
  values.forEach((_, i) => values[i] = Math.floor(next() * 256) - 128);
  values.set([-128, 127, 0, -1, 1]);
  const scales = arena.f32(at.scales, scaleCount);
  scales.forEach((_, i) => {
    const special = next() < 1 / 3;
    scales[i] = special ? SPECIAL[Math.floor(next() * SPECIAL.length)] as number : next() / 64;
  });
  const wanted = Float32Array.from(values, (value, i) => value * (scales[Math.floor(i / block)] as number));
  return { arena, at, wanted };
}

Deno.test("decodeBlocks() writes value × scale in float32, for every cut of the tensor and every block", () => {
  for (const block of [1, 2, 3, 5, 15, 16, 17, 31, 32, 33, 64, 100, 149, 150]) {
    const { arena, at, wanted } = scene(block, block);
    const cuts = [[0, COUNT], [0, 1], [0, 64], [1, 2], [7, 41], [15, 17], [33, 129], [COUNT - 1, COUNT], [
      9,
      9,
    ]];
    for (const [from, to] of cuts as [number, number][]) {
      arena.i32(at.target, COUNT + 1).fill(GUARD);
      decodeBlocks(arena, at, from, to);
      const found = arena.f32(at.target, COUNT);
      assert.equal(
        sameBits(found.subarray(from, to), wanted.subarray(from, to)),
        undefined,
        `block ${block}, ${from} to ${to}`,
      );
      const words = arena.i32(at.target, COUNT + 1);
      const touched = words.findIndex((word, i) => (i < from || i >= to) && word !== GUARD);
      assert.equal(touched, -1, `block ${block}, ${from} to ${to}: wrote outside`);
    }
  }
});

Deno.test("decodeBlocks() keeps subnormal products and the sign of zero", () => {
  const arena = new Arena({ bytesMax: 1 << 20 });
  const at = { values: arena.allocate(17), scales: arena.allocate(4), target: arena.allocate(68), block: 17 };
  const values = new Int8Array(arena.buffer, at.values, 17).fill(-3);
  values[0] = 0;
  arena.f32(at.scales, 1)[0] = 2 ** -149;
  decodeBlocks(arena, at, 0, 17);
  assert.deepEqual([...arena.f32(at.target, 17)], [0, ...new Array(16).fill(-3 * 2 ** -149)]);
  arena.f32(at.scales, 1)[0] = -1;
  decodeBlocks(arena, at, 0, 17);
  assert.deepEqual([...arena.f32(at.target, 17)], [-0, ...new Array(16).fill(3)]);
});
