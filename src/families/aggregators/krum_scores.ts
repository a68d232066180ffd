/**
 * The scores of Krum and MultiKrum: the score of a contribution is the sum of its squared distances to its
 * n − byzantine − 2 nearest others, over all variables. Lower is better.
 */
import { z } from "zod";
import { squaredDistances } from "../../../kernels/routines/distances.ts";
import type { ContributionList } from "./aggregator.ts";
import { allPlaces } from "./ranks.ts";

export const byzantine = () =>
  z.int().min(0).describe("How many contributions of a round may be hostile: f of at least 2f + 3.");

export interface Scored {
  readonly place: number;
  readonly score: number;
}

/** The places from the best score to the worst; equal scores in accepted order. A NaN distance counts as infinite. */
export function scored(list: ContributionList, byzantine: number): Scored[] {
  const places = allPlaces(list);
  const pairs = places.flatMap((b) => places.slice(0, b).map((a) => [a, b] as const));
  const distances: number[][] = places.map(() => []);
  squaredDistances(list.arena, list.variables, pairs).forEach((sum, n) => {
    const distance = Number.isNaN(sum) ? Infinity : sum;
    for (const place of pairs[n] as readonly [number, number]) distances[place]?.push(distance);
  });
  const nearest = places.length - byzantine - 2;
  return distances.map((all, place) => {
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
