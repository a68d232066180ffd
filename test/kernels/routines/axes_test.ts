/** Tests of norms and means over axes, and of the stretches, against loops over multi-indices. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Arena } from "../../../kernels/arena.ts";
import { reduceAxes, stretches } from "../../../kernels/routines/axes.ts";
import { random, sameBits } from "../support/special.ts";

const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);
const subsets = (rank: number) =>
  Array.from({ length: 2 ** rank }, (_, bits) => [...Array(rank).keys()].filter((axis) => bits >> axis & 1));

/** For each element, in order, the reduced number that it belongs to. */
function targets(shape: readonly number[], axes: readonly number[]): number[] {
  return Array.from({ length: product(shape) }, (_, element) => {
    let rest = element, target = 0, step = 1;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] as number;
      if (!axes.includes(axis)) {
        target += step * (rest % size);
        step *= size;
      }
      rest = Math.floor(rest / size);
    }
    return target;
  });
}

const kept = (shape: readonly number[], axes: readonly number[]) =>
  product(shape.filter((_, axis) => !axes.includes(axis)));

function oracle(
  kind: "norm" | "mean",
  values: Float32Array,
  shape: readonly number[],
  axes: readonly number[],
) {
  const sums = new Float64Array(kept(shape, axes));
  targets(shape, axes).forEach((target, element) => {
    const value = values[element] as number;
    sums[target] = (sums[target] as number) + (kind === "norm" ? Math.fround(value * value) : value);
  });
  const elements = product(axes.map((axis) => shape[axis] as number));
  return Float32Array.from(sums, (sum) => kind === "norm" ? Math.sqrt(Math.fround(sum)) : sum / elements);
}

function reduced(
  kind: "norm" | "mean",
  values: Float32Array,
  shape: readonly number[],
  axes: readonly number[],
) {
  const count = kept(shape, axes);
  const arena = new Arena({ bytesMax: 1 << 24 });
  const tensor = arena.allocate(4 * values.length), result = arena.allocate(4 * count + 4);
  const scratch = arena.allocate(8 * count + 8);
  arena.f32(tensor, values.length).set(values);
  // Garbage in all memory that is written, and guards after it.
  arena.f32(result, count + 1).fill(-77);
  arena.f64(scratch, count + 1).fill(-77);
  reduceAxes(arena, kind, { tensor, result, scratch, shape, axes });
  assert.equal(arena.f32(result, count + 1)[count], -77, "guard after the result");
  assert.equal(arena.f64(scratch, count + 1)[count], -77, "guard after the scratch");
  assert.equal(sameBits(arena.f32(tensor, values.length), values), undefined, "the tensor stays");
  return arena.f32(result, count).slice();
}

function check(shape: readonly number[], axes: readonly number[], values: Float32Array): void {
  for (const kind of ["norm", "mean"] as const) {
    const difference = sameBits(reduced(kind, values, shape, axes), oracle(kind, values, shape, axes));
    assert.equal(difference, undefined, `${kind} of [${shape}] over [${axes}]: ${difference}`);
  }
}

const ordinary = (count: number, seed: number) => {
  const next = random(seed);
  return Float32Array.from({ length: count }, () => (next() - 0.5) * 10 ** (next() * 6));
};

Deno.test("reduceAxes() equals the loop over all axes of all shapes up to rank 4, empty ones included", () => {
  const sizes = [0, 1, 2, 3, 5];
  let shapes: number[][] = [[]];
  for (let rank = 0; rank <= 4; rank++) {
    shapes.forEach((shape, index) => {
      // Only every fifth of the 625 shapes of rank 4, with a different offset for each set of axes.
      subsets(rank).forEach((axes, set) => {
        if (rank < 4 || (index + set) % 5 === 0) check(shape, axes, ordinary(product(shape), index));
      });
    });
    shapes = shapes.flatMap((shape) => sizes.map((size) => [...shape, size]));
  }
});

Deno.test("reduceAxes() equals the loop on long rows, wide rows and numbers that are not finite", () => {
  const float = fc.oneof(
    fc.float(),
    fc.constantFrom(0, -0, Infinity, -Infinity, NaN, 2 ** -149, Math.fround(3e38)),
  );
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 5 }),
      fc.nat(),
      fc.array(float, { minLength: 1, maxLength: 50 }),
      (shape, pick, floats) => {
        const axes = subsets(shape.length)[pick % 2 ** shape.length] as number[];
        check(
          shape,
          axes,
          Float32Array.from({ length: product(shape) }, (_, n) => floats[n % floats.length] as number),
        );
      },
    ),
    { numRuns: 80 },
  );
  for (
    const [shape, axes] of [[[300, 67], [0]], [[300, 67], [1]], [[5000], [0]], [[2, 3, 4, 31], [1]]] as const
  ) {
    check(shape, axes, ordinary(product(shape), 3));
  }
});

Deno.test("stretches() covers every element once and maps it to its reduced number", () => {
  const shapes = [[], [7], [2, 3], [3, 1, 4], [2, 3, 4], [2, 3, 2, 5], [3, 0, 2], [1, 1, 1]];
  for (const shape of shapes) {
    for (const axes of subsets(shape.length)) {
      const { stretches: parts, count } = stretches(shape, axes);
      const found = new Array<number>(product(shape)).fill(-1);
      for (const { start, times, repeats, width, target } of parts) {
        for (let n = 0; n < times * repeats * width; n++) {
          assert.equal(found[start + n], -1, `element ${start + n} twice`);
          found[start + n] = target + Math.floor(n / (repeats * width)) * width + n % width;
        }
      }
      assert.deepEqual(found, targets(shape, axes), `[${shape}] over [${axes}]`);
      assert.equal(count, kept(shape, axes));
    }
  }
});

Deno.test("stretches() returns one stretch where one kernel call suffices", () => {
  const few: [number[], number[]][] = [[[1_000_000, 64], [1]], [[1_000_000, 64], [0]], [[3, 3, 64, 128], [
    0,
    1,
    2,
  ]]];
  for (const [shape, axes] of few) assert.equal(stretches(shape, axes).stretches.length, 1);
});
