/** Tests of squared distances against their law, to the last bit of float64. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Arena } from "../../../kernels/arena.ts";
import { squaredDistances, type VectorPart } from "../../../kernels/routines/distances.ts";
import { sumInOrder } from "../support/line_by_line.ts";
import { fillSpecial, random } from "../support/special.ts";

/** The law: float64 throughout, in the order of every reduction. */
function law(a: Float32Array, b: Float32Array): number {
  return sumInOrder(Array.from(a, (x, n) => (x - (b[n] as number)) ** 2));
}

function vectors(
  arena: Arena,
  counts: readonly number[],
  vectorCount: number,
  fill: (values: Float32Array, seed: number) => void,
): VectorPart[] {
  return counts.map((count, part) => ({
    count,
    offsets: Array.from({ length: vectorCount }, (_, n) => {
      const offset = arena.allocate(4 * count);
      fill(arena.f32(offset, count), 1000 * part + n);
      return offset;
    }),
  }));
}

/** Fills with mantissas of 24 bits over 50 powers of two, so that nearly every addition rounds. */
function spread(values: Float32Array, seed: number): void {
  const next = random(seed);
  values.forEach((_, n) => values[n] = (next() - 0.5) * 2 ** Math.floor(next() * 50));
}

function check(arena: Arena, parts: readonly VectorPart[], vectorCount: number): void {
  const pairs = Array.from({ length: vectorCount ** 2 }, (_, n) => {
    return [Math.floor(n / vectorCount), n % vectorCount] as const;
  });
  const before = parts.map(({ count, offsets }) => offsets.map((at) => arena.f32(at, count).slice()));
  const found = squaredDistances(arena, parts, pairs);
  const wanted = pairs.map(([a, b]) => {
    return before.reduce((sum, part) => sum + law(part[a] as Float32Array, part[b] as Float32Array), 0);
  });
  // The order of additions is equal only if no part but the first has more than one block.
  assert.deepEqual([...found], wanted);
  parts.forEach(({ count, offsets }, part) =>
    offsets.forEach((at, n) => assert.deepEqual(arena.f32(at, count), before[part]?.[n], "only read"))
  );
}

Deno.test("squaredDistances() equals its law on vectors of 0 to 67 elements", () => {
  for (let count = 0; count <= 67; count++) {
    const arena = new Arena({ bytesMax: 1 << 20 });
    check(arena, vectors(arena, [count], 3, spread), 3);
  }
});

Deno.test("squaredDistances() equals its law on blocks, tails and several tensors", () => {
  for (const counts of [[4095], [4096], [4097], [2 * 4096 + 33], [5, 0, 4096, 31]]) {
    const arena = new Arena({ bytesMax: 1 << 20 });
    check(arena, vectors(arena, counts, 2, spread), 2);
  }
});

Deno.test("squaredDistances() equals its law on special numbers", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(), (count, seed) => {
      const arena = new Arena({ bytesMax: 1 << 20 });
      const fill = (values: Float32Array, n: number) =>
        fillSpecial(arena, { offset: values.byteOffset, count, type: "f32", seed: seed + n });
      check(arena, vectors(arena, [count], 3, fill), 3);
    }),
    { numRuns: 60 },
  );
});

Deno.test("squaredDistances() is finite and above 0 for different vectors of very large or tiny numbers", () => {
  const arena = new Arena({ bytesMax: 1 << 20 });
  for (const [a, b] of [[3e38, -3e38], [1e-38, 0], [2 ** -149, 0]] as const) {
    const parts = vectors(arena, [37], 2, (values, n) => values.fill(n === 0 ? a : b));
    const [distance = 0] = squaredDistances(arena, parts, [[0, 1]]);
    assert.ok(distance > 0 && distance < Infinity, `${a} and ${b}: ${distance}`);
  }
});
