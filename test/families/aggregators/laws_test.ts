/** The list aggregators, compared with their definitions in plain TypeScript. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { meanOfRanksLaw } from "../../kernels/routines/support/order_law.ts";
import { assertSame, drawn, roundOf } from "./support/drawn.ts";
import { combined, type Contribution, listRule, type Round } from "./support/combine_list.ts";

const ranked = ({ contributions }: Round, from: number, to: number) =>
  (contributions[0] as Contribution).map((_, variable) =>
    meanOfRanksLaw(contributions.map((each) => each[variable] as Float32Array), { from, to })
  );

Deno.test("Median takes the middle of each element, or the mean of the middle two", () => {
  fc.assert(
    fc.property(drawn(1), (draw) => {
      const round = roundOf(draw, true), n = draw.count;
      const { values } = combined("Median", {}, round);
      assertSame(values, ranked(round, (n - 1) >> 1, (n >> 1) + 1));
    }),
    { numRuns: 40 },
  );
});

Deno.test("TrimmedMean leaves out the fraction trim_ratio at each end", () => {
  const cuts: [number, number, number][] = [
    [0, 7, 0],
    [0.2, 4, 0],
    [0.2, 5, 1],
    [0.2, 14, 2],
    [0.1, 30, 3],
    [0.49, 2, 0],
    [0.49, 9, 4],
    // The largest number below 0.5; times 8 it rounds to 4.
    [0.5 - 2 ** -54, 8, 3],
  ];
  for (const [trim_ratio, count, cut] of cuts) {
    const round = roundOf({ count, shape: 2, seed: count }, true);
    const { values } = combined("TrimmedMean", { trim_ratio }, round);
    assertSame(values, ranked(round, cut, count - cut));
  }
});

/** The places ordered by Krum's score, computed in float64 from the paper's definition. */
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
  assert.equal(listRule("Krum", { byzantine: 0 }).contributionsMin, 3);
  assert.equal(listRule("Krum", { byzantine: 2 }).contributionsMin, 7);
  assert.equal(listRule("MultiKrum", { byzantine: 2 }).contributionsMin, 5);
  assert.equal(listRule("MultiKrum", { byzantine: 2, selected: 3 }).contributionsMin, 7);
  assert.equal(listRule("MultiKrum", { byzantine: 2, selected: 5 }).contributionsMin, 9);
});

Deno.test("MultiKrum warns where Krum's guarantee is lost", () => {
  const { warn } = listRule("MultiKrum", { byzantine: 2 });
  assert.deepEqual(warn?.(7), []);
  assert.match(warn?.(6)[0] ?? "", /guarantee .* needs 7$/);
});

Deno.test("MultiKrum weights what it keeps; equal weights count like none, and edition 1 counts none", () => {
  const contributions = [1, 2, 4, 900, -900].map((x) => [Float32Array.of(x, x)]);
  const valuesOf = (round: { weights?: readonly number[]; edition?: number }) =>
    combined("MultiKrum", { byzantine: 0, selected: 3 }, { contributions, ...round }).values;
  const weights = [1, 2, 4, 1, 1];
  // (1·1 + 2·2 + 4·4) / 7
  assert.deepEqual(valuesOf({ weights }), [Float32Array.of(3, 3)]);
  assert.deepEqual(valuesOf({ weights: [3, 3, 3, 3, 3] }), valuesOf({}));
  assert.deepEqual(valuesOf({ weights, edition: 1 }), valuesOf({}));
});

Deno.test("Krum takes the first of equal scores, and warns when no score is finite", () => {
  const same = Array.from({ length: 5 }, () => [Float32Array.of(1, 2)]);
  assert.deepEqual(combined("Krum", { byzantine: 1 }, { contributions: same }).used, [0]);
  const lost = [1, NaN, Infinity, NaN, 2].map((x) => [Float32Array.of(x, 0)]);
  const told = combined("Krum", { byzantine: 1 }, { contributions: lost });
  assert.deepEqual(told.warnings, ["Too many contributions are not finite: the chosen ones may be hostile"]);
});
