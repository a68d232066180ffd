/**
 * The median of each element; for an even number of contributions, the mean of the middle two. Weights do not count,
 * because a client could claim any.
 *
 * While fewer than half of the contributions are hostile, each element lies between two honest ones.
 * NaN counts as +Infinity.
 *
 * Source: Yin, Chen, Ramchandran, Bartlett 2018, "Byzantine-robust distributed learning: towards optimal statistical
 * rates", option I.
 */
import { aggregator, orderWork } from "./aggregator.ts";
import { allPlaces, fillWithMedian } from "./ranks.ts";

export const median = aggregator({
  class_name: "Median",
  summary: "Takes the median of each element.",
  fields: {},
  rule: () => ({
    kind: "list",
    work: orderWork,
    contributionsMin: 1,
    combine(list) {
      fillWithMedian(list, allPlaces(list));
      return {};
    },
  }),
});
