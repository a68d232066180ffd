/** The family of aggregators: one line a member. */
import { Family } from "../family.ts";
import type { AggregatorMember } from "./aggregator.ts";
import { mean } from "./mean.ts";
import { normBoundedMean } from "./norm_bounded_mean.ts";
import { sum } from "./sum.ts";
import { weightedMean } from "./weighted_mean.ts";

export const aggregators = new Family<AggregatorMember>("aggregator", [
  sum,
  mean,
  weightedMean,
  normBoundedMean,
]);
