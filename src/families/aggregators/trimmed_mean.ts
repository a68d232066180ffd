/**
 * The mean of each element without the ⌊trim_ratio · n⌋ least and as many greatest values. Weights do not count,
 * because a client could claim any.
 *
 * If at most as many contributions are hostile as are left out at each end, each element lies between two honest
 * ones. NaN counts as +Infinity.
 *
 * Source: Yin, Chen, Ramchandran, Bartlett 2018, "Byzantine-robust distributed learning: towards optimal statistical
 * rates", option II. Variant: sums are float64, from the least value to the greatest, and do not depend on the order
 * in which the contributions arrived. Flower calls the ratio beta and has the same default.
 */
import { float32 } from "../../float32.ts";
import { aggregator, orderWork } from "./aggregator.ts";
import { allPlaces, fillWithRanks } from "./ranks.ts";

const DESCRIPTION = "How much of the values is left out at each end, below 0.5.";

export const trimmedMean = aggregator({
  class_name: "TrimmedMean",
  summary: "Averages each element without its least and greatest values.",
  fields: { trim_ratio: float32({ minimum: 0 }).lt(0.5).default(0.2).describe(DESCRIPTION) },
  rule: ({ trim_ratio }) => ({
    kind: "list",
    work: orderWork,
    contributionsMin: 1,
    combine(list) {
      const places = allPlaces(list);
      // Just below 0.5 the product can round up to n / 2, which would leave no values.
      const cut = Math.min(Math.floor(trim_ratio * places.length), (places.length - 1) >> 1);
      fillWithRanks(list, { places, from: cut, to: places.length - cut });
      return {};
    },
  }),
});
