/** Tests of the decoding of received gradients: the values, and sums of squares block by block. */
import assert from "node:assert/strict";
import { Arena } from "../../../kernels/arena.ts";
import { decodeElements, sumSquares } from "../../../kernels/routines/ingest.ts";
import { BLOCK, readElement } from "../../../kernels/compiler/interpret.ts";
import { ELEMENT_BYTES, type ElementType } from "../../../kernels/compiler/pass.ts";
import { sumInOrder } from "../support/line_by_line.ts";
import { fillSpecial, random, sameBits } from "../support/special.ts";

const TYPES: readonly ElementType[] = ["f32", "f16", "bf16", "f64"];
const GUARD = 0x5ca1ab1e;

Deno.test("decodeElements() writes what each type's elements mean, and nothing else", () => {
  const arena = new Arena({ bytesMax: 1 << 20 });
  const source = arena.allocate(8 * 100), target = arena.allocate(4 * 101);
  for (const type of TYPES) {
    for (const count of [0, 1, 2, 3, 4, 5, 15, 16, 17, 50, 67, 100]) {
      fillSpecial(arena, { offset: source, count, type, seed: count + 1 });
      const before = arena.u8(source, 800).slice();
      arena.i32(target, 101).fill(GUARD);
      const squares = decodeElements(arena, { source, type, target, count });
      const wanted = Float32Array.from({ length: count }, (_, n) => {
        return readElement(arena.buffer, source + n * ELEMENT_BYTES[type], type);
      });
      assert.equal(sameBits(arena.f32(target, count), wanted), undefined, `${type}, ${count}`);
      assert.ok(arena.i32(target + 4 * count, 101 - count).every((word) => word === GUARD), "guard words");
      assert.deepEqual(arena.u8(source, 800), before, "the source stays");
      assert.equal(squares, sumInOrder(Array.from(wanted, (x) => Math.fround(x * x))));
    }
  }
});

Deno.test("sums of squares of single blocks add up to that of the whole tensor", () => {
  const count = 3 * BLOCK + 77;
  const arena = new Arena({ bytesMax: 1 << 20 });
  const g = arena.allocate(4 * count), copy = arena.allocate(4 * count);
  const next = random(5);
  arena.f32(g, count).forEach((_, n, all) => all[n] = (next() - 0.5) * 2 ** Math.floor(next() * 30));
  const whole = sumSquares(arena, g, count);
  assert.equal(whole, sumInOrder(Array.from(arena.f32(g, count), (x) => Math.fround(x * x))));
  let summed = 0, decoded = 0;
  for (let from = 0; from < count; from += BLOCK) {
    const size = Math.min(BLOCK, count - from), source = g + 4 * from;
    summed += sumSquares(arena, source, size);
    decoded += decodeElements(arena, { source, type: "f32", target: copy + 4 * from, count: size });
  }
  assert.deepEqual([summed, decoded], [whole, whole]);
});

Deno.test("a sum of squares is finite only if every element is", () => {
  const arena = new Arena({ bytesMax: 1 << 20 });
  const count = 70, g = arena.allocate(4 * count);
  for (const odd of [NaN, Infinity, -Infinity]) {
    for (let at = 0; at < count; at++) {
      arena.f32(g, count).fill(1)[at] = odd;
      assert.equal(Number.isFinite(sumSquares(arena, g, count)), false, `${odd} at ${at}`);
    }
  }
  arena.f32(g, count).fill(1e18);
  assert.ok(Number.isFinite(sumSquares(arena, g, count)));
});
