/** Tests of counting numbers that are not finite, against Number.isFinite. */
import assert from "node:assert/strict";
import { Arena } from "../../../kernels/arena.ts";
import { countNonFinite } from "../../../kernels/routines/non_finite.ts";
import { fillSpecial } from "../support/special.ts";

Deno.test("countNonFinite() equals its law at lengths 0 to 67, and reads nothing after the end", () => {
  const arena = new Arena({ bytesMax: 1 << 20 });
  const offset = arena.allocate(4 * 80);
  for (let count = 0; count <= 67; count++) {
    fillSpecial(arena, { offset, count, type: "f32", seed: count });
    arena.f32(offset + 4 * count, 8).fill(NaN);
    const before = arena.f32(offset, 80).slice();
    const law = arena.f32(offset, count).filter((value) => !Number.isFinite(value)).length;
    assert.equal(countNonFinite(arena, offset, count), law, `${count} elements`);
    assert.deepEqual(arena.f32(offset, 80), before, "only read");
  }
});

Deno.test("countNonFinite() tells the greatest number from an infinity, whatever the sign and the bits of a NaN", () => {
  const arena = new Arena({ bytesMax: 1 << 20 });
  const offset = arena.allocate(64);
  const cases = [
    [0x7f7fffff, 0],
    [0xff7fffff, 0],
    [0x7f800000, 1],
    [0xff800000, 1],
    [0x7f800001, 1],
    [0xffffffff, 1],
    [0x00000001, 0],
    [0x80000000, 0],
  ] as const;
  for (const [bits, wanted] of cases) {
    for (const count of [1, 4, 5]) {
      arena.i32(offset, count).fill(bits | 0);
      assert.equal(countNonFinite(arena, offset, count), wanted * count, bits.toString(16));
    }
  }
});
