/** The geometric median: correctness, termination, and excluded contributions. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { random } from "../../kernels/support/special.ts";
import { assertSame, drawn, roundOf } from "./support/drawn.ts";
import { combined, type Round } from "./support/combine_list.ts";

/** Weighted sum of distances over all variables. */
function objective(
  { contributions, weights }: Required<Pick<Round, "contributions" | "weights">>,
  point: readonly Float32Array[],
): number {
  return contributions.reduce((sum, parts, n) => {
    const squares = parts.map((part, variable) =>
      part.reduce((total, x, at) => total + (x - (point[variable]?.[at] as number)) ** 2, 0)
    );
    return sum + (weights[n] as number) * Math.sqrt(squares.reduce((a, b) => a + b));
  }, 0);
}

Deno.test("GeometricMedian has the least sum of weighted distances: no step away from it lessens the sum", () => {
  // No contribution has nearly half of the weight, because the last iterations towards such a one are slow.
  const weight = fc.float({ min: 1, max: 2, noNaN: true });
  fc.assert(
    fc.property(drawn(4), fc.array(weight, { minLength: 16, maxLength: 16 }), (draw, all) => {
      const round = { ...roundOf({ ...draw, shape: 2 }), weights: all.slice(0, draw.count) };
      const { values } = combined("GeometricMedian", { iterations: 500, tolerance: 0 }, round);
      const least = objective(round, values);
      const next = random(draw.seed);
      for (const size of [1e-3, 1e-2, 0.1, 1]) {
        const away = values.map((part) => part.map((x) => x + size * (next() - 0.5)));
        assert(objective(round, away) >= least * (1 - 1e-6), `${size}`);
      }
      for (const there of round.contributions) assert(objective(round, there) >= least * (1 - 1e-6));
    }),
    { numRuns: 25 },
  );
});

Deno.test("GeometricMedian finds Fermat's point of a triangle, and the heavier of two points", () => {
  const triangle = [[0, 0], [1, 0], [0.5, Math.sqrt(3) / 2]].map((point) => [Float32Array.from(point)]);
  const { values: [found] } = combined("GeometricMedian", { iterations: 100, tolerance: 0 }, {
    contributions: triangle,
  });
  assert(Math.abs(found?.[0] as number - 0.5) < 1e-6);
  assert(Math.abs(found?.[1] as number - Math.sqrt(3) / 6) < 1e-6);
  const two = { contributions: [[Float32Array.of(0)], [Float32Array.of(1)]], weights: [1, 3] };
  const { values: [point] } = combined("GeometricMedian", { iterations: 100, tolerance: 0 }, two);
  assert(Math.abs(point?.[0] as number - 1) < 1e-4);
});

Deno.test("GeometricMedian leaves its start even if a contribution that is not the median is at or near it", () => {
  for (const near of [0, 1e-7, 1e-3]) {
    // The median of each element is 0; three unit vectors pull harder than one contribution at 0.
    const points = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [near, near, -near]].map((
      point,
    ) => [Float32Array.from(point)]);
    const { values } = combined("GeometricMedian", {}, { contributions: points });
    const round = { contributions: points, weights: [1, 1, 1, 1] };
    const { values: exact } = combined("GeometricMedian", { iterations: 500, tolerance: 0 }, round);
    assert(objective(round, exact) < 2.999);
    assert(objective(round, values) < objective(round, exact) * 1.001, `${near}`);
  }
});

Deno.test("GeometricMedian stays at a single contribution, and ends at the limit of iterations or gains", () => {
  const one = [[Float32Array.of(3, -1)]];
  assert.deepEqual(combined("GeometricMedian", {}, { contributions: one }).values, one[0]);
  const round = roundOf({ count: 9, shape: 2, seed: 5 });
  const after = (config: Record<string, unknown>) => combined("GeometricMedian", config, round).values;
  const sums = [1, 2, 4, 8].map((iterations) =>
    objective(
      round as Required<Pick<Round, "contributions" | "weights">>,
      after({ iterations, tolerance: 0 }),
    )
  );
  assert.deepEqual(sums.toSorted((a, b) => b - a), sums, "each iteration lessens the sum");
  assertSame(after({ iterations: 50, tolerance: 1 }), after({ iterations: 1 }));
});

Deno.test("GeometricMedian leaves out contributions that are not finite or have weight 0, and warns", () => {
  const point = (x: number) => [Float32Array.of(x, 1)];
  const contributions = [1, NaN, 2, -Infinity, 3, 1e30].map(point);
  const weights = [1, 1, 1, 1, 1, 0];
  const told = combined("GeometricMedian", { iterations: 50 }, { contributions, weights });
  assert.deepEqual(told.used, [0, 2, 4]);
  assert.deepEqual(told.warnings, ["3 of 6 contributions are not finite or weigh nothing"]);
  const [[x = NaN, y] = []] = told.values;
  assert(Math.abs(x - 2) < 1e-5 && y === 1, `${x}, ${y}`);
  const none = combined("GeometricMedian", {}, { contributions: contributions.slice(0, 2), weights: [0, 1] });
  assert.deepEqual(none.values, [Float32Array.of(Infinity, 1)]);
  assert.equal(none.warnings?.length, 1);
});

Deno.test("GeometricMedian gives finite numbers when distances and weights are extreme", () => {
  const top = Math.fround(3.4e38);
  const contributions = [[top, -top], [-top, top], [top, top]].map((point) => [Float32Array.from(point)]);
  for (const weights of [[1, 1, 1], [1e308, 1e308, 1e308], [1e-308, 1e-308, 1e308]]) {
    const { values: [found] } = combined("GeometricMedian", { smoothing: 1e-30 }, {
      contributions,
      weights,
    });
    assert(found?.every((x) => Math.abs(x) <= top * (1 + 1e-6)), `${weights}: ${found}`);
  }
});
