/**
 * The point z with the least sum of weighted distances `Σ weight · ‖z − g‖` over all variables, approached by
 * Weiszfeld's iteration: the mean of the contributions, each by `weight / max(smoothing, ‖z − g‖)`.
 *
 * While a share α < ½ of the weight is hostile, the exact point is no farther from any point c than
 * `2 (1 − α) / (1 − 2α)` times the farthest honest contribution is. Weights are what the clients say: whoever claims
 * more than the others together decides. Contributions that are not finite do not count.
 *
 * Source: Pillutla, Kakade, Harchaoui 2019, "Robust aggregation for federated learning" (RFA), smoothed Weiszfeld.
 * Variant: it starts at the median of each element, not at the mean, so that few iterations do even when hostile
 * contributions are far away; it ends when an iteration has lessened the sum by no more than tolerance times the sum.
 * Distances are float64, the points float32.
 */
import { z } from "zod";
import { squaredDistances } from "../../../kernels/distances.ts";
import { number } from "../fields.ts";
import { aggregator, type Held } from "./aggregator.ts";
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
    kind: "hold",
    contributionsMin: 1,
    combine(held) {
      const all = allPlaces(held);
      const used = countable(held, all);
      if (used.length === 0) {
        fillWithMedian(held, all);
        return {
          warnings: ["No contribution is finite and has a weight: the median of each element is taken"],
        };
      }
      fillWithMedian(held, used);
      approach(held, used, config);
      if (used.length === all.length) return {};
      const dropped = all.length - used.length;
      return {
        warnings: [`${dropped} of ${all.length} contributions are not finite or weigh nothing`],
        used,
      };
    },
  }),
});

/** Places that weigh something and are finite: those have distance 0 to themselves, which no NaN or infinity has. */
function countable({ arena, variables, weights }: Held, places: readonly number[]): number[] {
  const distances = squaredDistances(arena, variables, places.map((place) => [place, place]));
  return places.filter((place) => (weights[place] as number) > 0 && distances[place] === 0);
}

/** Moves the results, which hold a first guess. */
function approach(
  held: Held,
  places: readonly number[],
  { iterations, tolerance, smoothing }: { iterations: number; tolerance: number; smoothing: number },
): void {
  const center = held.weights.length;
  const parts = held.variables.map(({ count, offsets, result }) => ({
    count,
    offsets: [...offsets, result],
  }));
  const pairs = places.map((place) => [center, place] as const);
  const heaviest = Math.max(...places.map((place) => held.weights[place] as number));
  const weights = places.map((place) => (held.weights[place] as number) / heaviest);
  let before = Infinity;
  for (let iteration = 0; iteration < iterations; iteration++) {
    const distances = [...squaredDistances(held.arena, parts, pairs)].map(Math.sqrt);
    const sum = add(weights.map((weight, n) => weight * (distances[n] as number)));
    if (before - sum <= tolerance * sum) return;
    before = sum;
    const nearest = Math.max(smoothing, Math.min(...distances));
    // Relative to the nearest, so that no factor overflows and not all of them vanish.
    const factors = weights.map((weight, n) =>
      weight * (nearest / Math.max(smoothing, distances[n] as number))
    );
    const total = add(factors);
    const terms = places.map((place, n) => ({ place, factor: (factors[n] as number) / total }));
    fillWithSum(held, { terms, divisor: 1 });
  }
}

const add = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0);
