/** The family of aggregators: one line per member. */
import { Family } from "../mechanism/family.ts";
import type { AggregatorMember } from "./aggregator.ts";
import { bulyan } from "./bulyan.ts";
import { formula } from "./formula.ts";
import { geometricMedian } from "./geometric_median.ts";
import { krum } from "./krum.ts";
import { mean } from "./mean.ts";
import { median } from "./median.ts";
import { multiKrum } from "./multi_krum.ts";
import { normBoundedMean } from "./norm_bounded_mean.ts";
import { qFedAvg } from "./q_fed_avg.ts";
import { sum } from "./sum.ts";
import { trimmedMean } from "./trimmed_mean.ts";
import { weightedMean } from "./weighted_mean.ts";

export const aggregators = new Family<AggregatorMember>("aggregator", [
  sum,
  mean,
  weightedMean,
  normBoundedMean,
  median,
  trimmedMean,
  krum,
  multiKrum,
  bulyan,
  geometricMedian,
  qFedAvg,
  formula,
], { isOwn: true });
