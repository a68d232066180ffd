/**
 * The scores of Krum and MultiKrum: the score of a contribution is the sum of its squared distances to its
 * n − byzantine − 2 nearest others, over all variables. Lower is better.
 */
import { z } from "zod";
import { squaredDistances } from "../../../kernels/routines/distances.ts";
import type { ContributionList } from "./aggregator.ts";
import { allPlaces } from "./ranks.ts";

export const byzantine = (of = "f of at least 2f + 3") =>
  z.int().min(0).describe(`How many contributions of a round may be hostile: ${of}.`);

export interface Scored {
  readonly place: number;
  readonly score: number;
}

/** The places from the best score to the worst; equal scores in accepted order. */
export function scored(list: ContributionList, byzantine: number): Scored[] {
  return bestOf(distancesOf(list), allPlaces(list), byzantine);
}

/** The squared distances between any two contributions. A NaN distance counts as infinite. */
export function distancesOf(list: ContributionList): readonly (readonly number[])[] {
  const places = allPlaces(list);
  const pairs = places.flatMap((b) => places.slice(0, b).map((a) => [a, b] as const));
  const distances: number[][] = places.map(() => []);
  squaredDistances(list.arena, list.variables, pairs).forEach((sum, n) => {
    const distance = Number.isNaN(sum) ? Infinity : sum;
    const [a, b] = pairs[n] as readonly [number, number];
    (distances[a] as number[])[b] = distance;
    (distances[b] as number[])[a] = distance;
  });
  return distances;
}

/** Like {@link scored}, among some places. Each is compared with one other at least, if there is one. */
export function bestOf(
  distances: readonly (readonly number[])[],
  places: readonly number[],
  byzantine: number,
): Scored[] {
  const nearest = Math.max(1, places.length - byzantine - 2);
  return places.map((place) => {
    const all = places.filter((each) => each !== place).map((each) => distances[place]?.[each] as number);
    // Sorted, so that the sum does not depend on the order in which the contributions arrived.
    const nearby = all.sort(ascending).slice(0, nearest);
    return { place, score: nearby.reduce((sum, distance) => sum + distance, 0) };
  }).sort((a, b) => ascending(a.score, b.score));
}

/** Compares instead of subtracting: the difference of two infinities would be NaN. */
function ascending(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A warning if even a chosen contribution has no finite score. */
export function warningsOf(chosen: readonly Scored[]): { warnings?: string[] } {
  if (chosen.every(({ score }) => score < Infinity)) return {};
  return { warnings: ["Too many contributions are not finite: the chosen ones may be hostile"] };
}
