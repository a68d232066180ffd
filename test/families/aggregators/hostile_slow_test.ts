/**
 * What a hostile minority can do, for every aggregator that is said to bear one: no more than theory allows. The
 * bounds are written down where they are checked; n contributions, f of them hostile, honest ones anywhere.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { random } from "../../kernels/support/special.ts";
import { combined, type Contribution } from "./support/combine_list.ts";

/** What a hostile client sends, knowing the mean of the honest ones. */
const ATTACKS: Record<string, (mean: number, draw: () => number) => number> = {
  "the opposite": (mean) => -mean,
  "a million times the opposite": (mean) => -1e6 * mean,
  "a constant": () => 1000,
  "the greatest number": () => 3.4028234663852886e38,
  "NaN": () => NaN,
  "infinities": (_, draw) => draw() < 0.5 ? Infinity : -Infinity,
  "numbers of any size": (_, draw) => (draw() - 0.5) * 10 ** (76 * draw() - 38),
  "something near": (mean, draw) => mean + 2 * (draw() - 0.5),
};

const COUNTS = [7, 1, 20];

interface Attacked {
  readonly contributions: readonly Contribution[];
  readonly honest: readonly Contribution[];
}

/** Honest contributions around a common one, and `hostile` of `count` that are not, in any order. */
function attacked(count: number, hostile: number, attack: string, seed: number): Attacked {
  const next = random(seed);
  const common = COUNTS.map((length) => Float32Array.from({ length }, () => 3 * (next() - 0.5)));
  const honest = Array.from(
    { length: count - hostile },
    () => common.map((part) => part.map((x) => x + (next() - 0.5))),
  );
  const mean = common.map((part, variable) =>
    part.map((_, at) =>
      honest.reduce((sum, each) => sum + (each[variable]?.[at] as number), 0) / honest.length
    )
  );
  const forge = ATTACKS[attack] as (mean: number, draw: () => number) => number;
  const forged = Array.from({ length: hostile }, () => mean.map((part) => part.map((x) => forge(x, next))));
  const keyed = [...honest, ...forged].map((contribution) => ({ contribution, key: next() }));
  keyed.sort((a, b) => a.key - b.key);
  return { contributions: keyed.map(({ contribution }) => contribution), honest };
}

const attacks = fc.constantFrom(...Object.keys(ATTACKS));

/** Checks rounds of up to `n` contributions, of which up to `hostileMax(n)` are hostile. */
function against(
  hostileMax: (count: number) => number,
  check: (round: Attacked, n: number, f: number) => void,
): void {
  const counts = fc.integer({ min: 5, max: 21 });
  fc.assert(
    fc.property(counts, fc.nat(), attacks, fc.nat(), (n, pick, attack, seed) => {
      const f = pick % (hostileMax(n) + 1);
      check(attacked(n, f, attack, seed), n, f);
    }),
    { numRuns: 80 },
  );
}

const distance = (a: Contribution, b: Contribution) =>
  Math.sqrt(
    a.flatMap((part, variable) => [...part].map((x, at) => (x - (b[variable]?.[at] as number)) ** 2))
      .reduce((sum, square) => sum + square),
  );

const diameter = (all: readonly Contribution[]) =>
  Math.max(...all.flatMap((a) => all.map((b) => distance(a, b))));

/** Every element lies between the least and the greatest honest one. */
function assertBetween(found: Contribution, honest: readonly Contribution[]): void {
  found.forEach((part, variable) =>
    part.forEach((x, at) => {
      const all = honest.map((each) => each[variable]?.[at] as number);
      assert(Math.min(...all) <= x && x <= Math.max(...all), `element ${at} of ${variable} is ${x}`);
    })
  );
}

Deno.test("Median lies between honest values, element by element, when fewer than half are hostile", () => {
  against((n) => (n - 1) >> 1, ({ contributions, honest }) => {
    assertBetween(combined("Median", {}, { contributions }).values, honest);
  });
});

Deno.test("TrimmedMean lies between honest values when no more are hostile than it leaves out at an end", () => {
  for (const trim_ratio of [0.1, 0.2, 0.45]) {
    against((n) => Math.floor(trim_ratio * n), ({ contributions, honest }) => {
      assertBetween(combined("TrimmedMean", { trim_ratio }, { contributions }).values, honest);
    });
  }
});

/**
 * With D the greatest distance between honest contributions, each honest one has a score of at most (n − f − 2) D²:
 * it has n − f − 1 honest others. Whoever scores no worse has, among its n − f − 2 nearest, n − 2f − 1 honest ones,
 * and one of those is within D √((n − f − 2) / (n − 2f − 1)).
 */
const reach = (n: number, f: number, honest: readonly Contribution[]) =>
  diameter(honest) * Math.sqrt((n - f - 2) / (n - 2 * f - 1)) * (1 + 1e-6);

Deno.test("Krum takes what is within theory's reach of an honest contribution when n >= 2f + 3", () => {
  against((n) => (n - 3) >> 1, ({ contributions, honest }, n, f) => {
    const { values, warnings } = combined("Krum", { byzantine: f }, { contributions });
    assert(Math.min(...honest.map((each) => distance(values, each))) <= reach(n, f, honest));
    assert.equal(warnings, undefined);
  });
});

Deno.test("MultiKrum averages what is within reach: it is no farther than that and D from any honest one", () => {
  against((n) => (n - 3) >> 1, ({ contributions, honest }, n, f) => {
    // At least n − f contributions score as well as honest ones, and n − f − 2 of them are averaged.
    const { values } = combined("MultiKrum", { byzantine: f }, { contributions });
    const bound = reach(n, f, honest) + diameter(honest);
    for (const each of honest) assert(distance(values, each) <= bound);
  });
});

Deno.test("GeometricMedian is within 2 (1 - a) / (1 - 2a) times the farthest honest distance of any point", () => {
  against((n) => (n - 1) >> 1, ({ contributions, honest }, n, f) => {
    const share = f / n;
    const { values } = combined("GeometricMedian", {}, { contributions });
    for (const point of honest) {
      const farthest = Math.max(...honest.map((each) => distance(each, point)));
      assert(distance(values, point) <= 2 * (1 - share) / (1 - 2 * share) * farthest);
    }
  });
});

Deno.test("GeometricMedian bears a hostile minority of the weight that is a majority of the clients", () => {
  fc.assert(
    fc.property(attacks, fc.nat(), (attack, seed) => {
      const { contributions, honest } = attacked(13, 8, attack, seed);
      const weights = contributions.map((each) => honest.includes(each) ? 8 : 2);
      const share = 16 / 56;
      const { values } = combined("GeometricMedian", { iterations: 50 }, { contributions, weights });
      const [point = []] = honest;
      const farthest = Math.max(...honest.map((each) => distance(each, point)));
      assert(distance(values, point) <= 2 * (1 - share) / (1 - 2 * share) * farthest);
    }),
    { numRuns: 40 },
  );
});

Deno.test("Krum chooses the same contribution when they come in another order", () => {
  fc.assert(
    fc.property(attacks, fc.nat(), fc.nat(), (attack, seed, shuffle) => {
      const { contributions } = attacked(11, 4, attack, seed);
      const next = random(shuffle);
      const shuffled = contributions.map((each) => ({ each, key: next() })).sort((a, b) => a.key - b.key);
      const again = { contributions: shuffled.map(({ each }) => each) };
      assert.deepEqual(
        combined("Krum", { byzantine: 4 }, { contributions }).values,
        combined("Krum", { byzantine: 4 }, again).values,
      );
    }),
    { numRuns: 30 },
  );
});
