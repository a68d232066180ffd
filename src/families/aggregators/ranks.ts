/** Order statistics of the contributions of a list, element by element. The members choose the ranks. */
import { meanOfRanks, scratchBytes } from "../../../kernels/routines/order.ts";
import type { ContributionList } from "./aggregator.ts";

/** Fills the results with the mean of each element's values at the ranks from..to-1 among `places`. */
export function fillWithRanks(
  { arena, variables, allocate }: ContributionList,
  { places, from, to }: { places: readonly number[]; from: number; to: number },
): void {
  const scratch = allocate(scratchBytes(places.length));
  for (const { count, offsets, result } of variables) {
    const inputs = places.map((place) => offsets[place] as number);
    meanOfRanks(arena, { inputs, result, count, scratch, from, to });
  }
}

/** Fills the results with the median of each element among `places`, or with the mean of the middle two. */
export function fillWithMedian(list: ContributionList, places: readonly number[]): void {
  const { length } = places;
  fillWithRanks(list, { places, from: Math.ceil(length / 2) - 1, to: Math.floor(length / 2) + 1 });
}

/** The places of all contributions. */
export function allPlaces({ weights }: ContributionList): number[] {
  return [...weights.keys()];
}
