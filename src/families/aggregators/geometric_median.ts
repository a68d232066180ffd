/**
 * The point z with the least sum of weighted distances `Σ weight · ‖z − g‖` over all variables, approximated by
 * Weiszfeld's iteration: the mean of the contributions weighted by `weight / max(smoothing, ‖z − g‖)`.
 *
 * While a share α < ½ of the weight is hostile, the exact point is no farther from any point c than
 * `2 (1 − α) / (1 − 2α)` times the farthest honest contribution is. Weights are the clients' claims: a client that
 * claims more than all others together decides the result. Contributions that are not finite do not count.
 *
 * Source: Pillutla, Kakade, Harchaoui 2019, "Robust aggregation for federated learning" (RFA), smoothed Weiszfeld.
 * Variant: it starts at the weighted median of each element (approximate when weights differ), not at the mean: from
 * there few iterations suffice even when hostile contributions are far away. Smoothing starts at half the weighted
 * median of the distances and is halved with each iteration, so that contributions at or very near the start do not
 * hold it there. It ends when the sum changes by at most tolerance times itself. Distances are float64, points
 * float32.
 */
import { z } from "zod";
import { squaredDistances } from "../../../kernels/routines/distances.ts";
import { number } from "../mechanism/fields.ts";
import { aggregator, type ContributionList, orderWork } from "./aggregator.ts";
import { allPlaces, fillWithMedian } from "./ranks.ts";
import { fillWithSum } from "./weighted_sum.ts";

export const geometricMedian = aggregator({
  class_name: "GeometricMedian",
  summary: "Takes the point with the least sum of distances to the contributions.",
  fields: {
    iterations: z.int().min(1).max(1000).default(10).describe("Iterations at most; each reads all twice."),
    tolerance: number(1e-6, "The relative gain that is too small to go on.", { minimum: 0 }),
    smoothing: number(1e-6, "Shorter distances count as this one.", { minimum: 1e-30 }),
  },
  rule: (config) => ({
    kind: "list",
    work: (contributions) => orderWork(contributions) + contributions * config.iterations,
    contributionsMin: 1,
    combine(list) {
      const all = allPlaces(list);
      const used = countable(list, all);
      if (used.length === 0) {
        fillWithMedian(list, all);
        return {
          warnings: ["No contribution is finite and has a weight: the median of each element is taken"],
        };
      }
      // Weights relative to the largest, so that no sum of them overflows.
      const heaviest = Math.max(...used.map((place) => list.weights[place] as number));
      const weights = used.map((place) => (list.weights[place] as number) / heaviest);
      fillWithMedian(list, repeated(used, weights));
      approach(list, { places: used, weights, ...config });
      if (used.length === all.length) return {};
      const dropped = all.length - used.length;
      return {
        warnings: [`${dropped} of ${all.length} contributions are not finite or weigh nothing`],
        used,
      };
    },
  }),
});

/** The places whose weight is above 0 and which are finite: only these have distance 0 to themselves. */
function countable({ arena, variables, weights }: ContributionList, places: readonly number[]): number[] {
  const distances = squaredDistances(arena, variables, places.map((place) => [place, place]));
  return places.filter((place) => (weights[place] as number) > 0 && distances[place] === 0);
}

/** When weights differ, the weighted median is taken over at least this many places: its resolution. */
const PLACES_MIN = 128;

/** The places, each repeated in proportion to its weight. */
function repeated(places: readonly number[], weights: readonly number[]): readonly number[] {
  if (weights.every((weight) => weight === weights[0])) return places;
  const scale = Math.max(PLACES_MIN, places.length) / add(weights);
  let passed = 0;
  return places.flatMap((place, n) => {
    const before = Math.round(scale * passed);
    passed += weights[n] as number;
    return Array<number>(Math.round(scale * passed) - before).fill(place);
  });
}

interface Approach {
  readonly places: readonly number[];
  readonly weights: readonly number[];
  readonly iterations: number;
  readonly tolerance: number;
  readonly smoothing: number;
}

/** Iterates from the results, which hold the starting point. */
function approach(
  list: ContributionList,
  { places, weights, iterations, tolerance, smoothing }: Approach,
): void {
  const center = list.weights.length;
  const parts = list.variables.map(({ count, offsets, result }) => ({
    count,
    offsets: [...offsets, result],
  }));
  const pairs = places.map((place) => [center, place] as const);
  let before = Infinity;
  for (let iteration = 0; iteration < iterations; iteration++) {
    const distances = [...squaredDistances(list.arena, parts, pairs)].map(Math.sqrt);
    const sum = add(weights.map((weight, n) => weight * (distances[n] as number)));
    if (Math.abs(before - sum) <= tolerance * sum) return;
    before = sum;
    const least = Math.max(smoothing, medianOf(distances, weights) / 2 ** (iteration + 1));
    // Scaled by the least distance, so that no factor overflows.
    const factors = distances.map((distance, n) =>
      (weights[n] as number) * (least / Math.max(least, distance))
    );
    const total = add(factors);
    const terms = places.map((place, n) => ({ place, factor: (factors[n] as number) / total }));
    fillWithSum(list, { terms, divisor: 1 });
  }
}

/** The value up to which at least half of the weight lies. */
function medianOf(values: readonly number[], weights: readonly number[]): number {
  const rising = [...values.keys()].sort((a, b) => (values[a] as number) - (values[b] as number));
  let left = add(weights) / 2;
  const middle = rising.find((n) => (left -= weights[n] as number) <= 0);
  return values[middle as number] as number;
}

const add = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0);
