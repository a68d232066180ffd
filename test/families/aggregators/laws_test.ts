/** What the holding aggregators compute, against their definitions in plain TypeScript. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { meanOfRanksLaw } from "../../kernels/order_law.ts";
import { random, sameBits, SPECIAL } from "../../kernels/special.ts";
import { combined, type Contribution, holding, type Round } from "./held.ts";

const SHAPES = [[0], [1], [5, 3], [33], [4100, 2]];

interface Drawn {
  readonly count: number;
  readonly shape: number;
  readonly seed: number;
}

const drawn = (countMin: number) =>
  fc.record({
    count: fc.integer({ min: countMin, max: countMin + 12 }),
    shape: fc.nat(SHAPES.length - 1),
    seed: fc.nat(),
  });

/** Ordinary contributions; one number in `special` (never for 0) is a special one. */
function roundOf(
  { count, shape, seed }: Drawn,
  special = 0,
): Round & { readonly weights: readonly number[] } {
  const next = random(seed);
  const number = () =>
    next() * special > 1 - 1 / 8
      ? SPECIAL[Math.floor(next() * SPECIAL.length)] as number
      : Math.fround((next() - 0.5) * 4);
  const contribution = () =>
    (SHAPES[shape] as number[]).map((length) => Float32Array.from({ length }, number));
  return { contributions: Array.from({ length: count }, contribution), weights: Array(count).fill(1) };
}

function assertSame(found: readonly Float32Array[], wanted: readonly Float32Array[]): void {
  assert.equal(found.length, wanted.length);
  found.forEach((values, n) => assert.equal(sameBits(values, wanted[n] as Float32Array), undefined));
}

const ranked = ({ contributions }: Round, from: number, to: number) =>
  (contributions[0] as Contribution).map((_, variable) =>
    meanOfRanksLaw(contributions.map((each) => each[variable] as Float32Array), { from, to })
  );

Deno.test("Median takes the middle of each element, or the mean of the middle two", () => {
  fc.assert(
    fc.property(drawn(1), (draw) => {
      const round = roundOf(draw, 1), n = draw.count;
      const { values } = combined("Median", {}, round);
      assertSame(values, ranked(round, (n - 1) >> 1, (n >> 1) + 1));
    }),
    { numRuns: 40 },
  );
});

Deno.test("TrimmedMean leaves out as many as trim_ratio says at each end", () => {
  const cuts: [number, number, number][] = [
    [0, 7, 0],
    [0.2, 4, 0],
    [0.2, 5, 1],
    [0.2, 14, 2],
    [0.1, 30, 3],
    [0.49, 2, 0],
    [0.49, 9, 4],
    // The largest number below 0.5: times 8 it is rounded to 4.
    [0.5 - 2 ** -54, 8, 3],
  ];
  for (const [trim_ratio, count, cut] of cuts) {
    const round = roundOf({ count, shape: 2, seed: count }, 1);
    const { values } = combined("TrimmedMean", { trim_ratio }, round);
    assertSame(values, ranked(round, cut, count - cut));
  }
});

/** Places by Krum's score, worked out from the paper's definition: float64 and rounded nowhere. */
function krumOrder({ contributions }: Round, byzantine: number): number[] {
  const flat = contributions.map((parts) => parts.flatMap((part) => [...part]));
  const scores = flat.map((a, i) => {
    const distances = flat.flatMap((b, j) =>
      i === j ? [] : [a.reduce((sum, x, n) => sum + (x - (b[n] as number)) ** 2, 0)]
    );
    return distances.toSorted((x, y) => x - y).slice(0, flat.length - byzantine - 2).reduce(
      (x, y) => x + y,
      0,
    );
  });
  return [...scores.keys()].sort((a, b) => (scores[a] as number) - (scores[b] as number));
}

Deno.test("Krum takes the contribution with the least score and says which", () => {
  fc.assert(
    fc.property(fc.nat(3), drawn(9), (byzantine, draw) => {
      const round = roundOf({ ...draw, shape: Math.max(draw.shape, 2) });
      const [best = -1] = krumOrder(round, byzantine);
      const { values, used, warnings } = combined("Krum", { byzantine }, round);
      assert.deepEqual({ used, warnings }, { used: [best], warnings: undefined });
      assertSame(values, round.contributions[best] as Contribution);
    }),
    { numRuns: 30 },
  );
});

Deno.test("MultiKrum averages the best in accepted order, all but byzantine + 2 when selected is null", () => {
  fc.assert(
    fc.property(
      fc.nat(2),
      fc.option(fc.integer({ min: 1, max: 4 })),
      drawn(8),
      (byzantine, selected, draw) => {
        const round = roundOf({ ...draw, shape: Math.max(draw.shape, 2) });
        const count = selected ?? draw.count - byzantine - 2;
        const chosen = krumOrder(round, byzantine).slice(0, count).sort((a, b) => a - b);
        const { values, used } = combined("MultiKrum", { byzantine, selected }, round);
        assert.deepEqual(used, chosen);
        const { fround } = Math;
        const wanted = (round.contributions[0] as Contribution).map((part, variable) =>
          part.map((_, at) => {
            const terms = chosen.map((place) => round.contributions[place]?.[variable]?.[at] as number);
            return fround(terms.reduce((sum, term) => fround(sum + term)) / count);
          })
        );
        assertSame(values, wanted);
      },
    ),
    { numRuns: 30 },
  );
});

Deno.test("Krum and MultiKrum say how many contributions they need", () => {
  assert.equal(holding("Krum", { byzantine: 0 }).contributionsMin, 3);
  assert.equal(holding("Krum", { byzantine: 2 }).contributionsMin, 7);
  assert.equal(holding("MultiKrum", { byzantine: 2 }).contributionsMin, 7);
  assert.equal(holding("MultiKrum", { byzantine: 2, selected: 3 }).contributionsMin, 7);
  assert.equal(holding("MultiKrum", { byzantine: 2, selected: 5 }).contributionsMin, 9);
});

Deno.test("Krum takes the first of equals, and warns when nothing is near", () => {
  const same = Array.from({ length: 5 }, () => [Float32Array.of(1, 2)]);
  assert.deepEqual(combined("Krum", { byzantine: 1 }, { contributions: same }).used, [0]);
  const lost = [1, NaN, Infinity, NaN, 2].map((x) => [Float32Array.of(x, 0)]);
  const told = combined("Krum", { byzantine: 1 }, { contributions: lost });
  assert.deepEqual(told.warnings, ["Too many contributions are not finite: the chosen ones may be hostile"]);
});

/** Weighted sum of distances over all variables. */
function objective({ contributions, weights }: Required<Round>, point: readonly Float32Array[]): number {
  return contributions.reduce((sum, parts, n) => {
    const squares = parts.map((part, variable) =>
      part.reduce((total, x, at) => total + (x - (point[variable]?.[at] as number)) ** 2, 0)
    );
    return sum + (weights[n] as number) * Math.sqrt(squares.reduce((a, b) => a + b));
  }, 0);
}

Deno.test("GeometricMedian has the least sum of weighted distances: no step away from it lessens the sum", () => {
  const weight = fc.float({ min: Math.fround(0.1), max: 10, noNaN: true });
  fc.assert(
    fc.property(drawn(3), fc.array(weight, { minLength: 15, maxLength: 15 }), (draw, all) => {
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

Deno.test("GeometricMedian stays where one contribution is, and ends when iterations or gains do", () => {
  const one = [[Float32Array.of(3, -1)]];
  assert.deepEqual(combined("GeometricMedian", {}, { contributions: one }).values, one[0]);
  const round = roundOf({ count: 9, shape: 2, seed: 5 });
  const after = (config: Record<string, unknown>) => combined("GeometricMedian", config, round).values;
  const sums = [1, 2, 4, 8].map((iterations) =>
    objective(round as Required<Round>, after({ iterations, tolerance: 0 }))
  );
  assert.deepEqual(sums.toSorted((a, b) => b - a), sums, "each iteration lessens the sum");
  assertSame(after({ iterations: 50, tolerance: 1 }), after({ iterations: 1 }));
});

Deno.test("GeometricMedian leaves out what is not finite or weighs nothing, and says so", () => {
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

Deno.test("GeometricMedian gives numbers when distances and weights are extreme", () => {
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
