/**
 * Krum's choice, for Krum and MultiKrum: each of n contributions is scored by the sum of its squared distances to its
 * n − byzantine − 2 nearest others, over all variables; the lower the better.
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

/** Places from the best score to the worst, equal ones in accepted order. A NaN in a distance makes it infinite. */
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
    // By size, so that the sum does not depend on the order in which contributions came.
    const nearby = all.sort(ascending).slice(0, nearest);
    return { place, score: nearby.reduce((sum, distance) => sum + distance, 0) };
  }).sort((a, b) => ascending(a.score, b.score));
}

/** By comparison: the difference of two infinities would be NaN. */
function ascending(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What to tell when even a chosen contribution has no finite score. */
export function warningsOf(chosen: readonly Scored[]): { warnings?: string[] } {
  if (chosen.every(({ score }) => score < Infinity)) return {};
  return { warnings: ["Too many contributions are not finite: the chosen ones may be hostile"] };
}
