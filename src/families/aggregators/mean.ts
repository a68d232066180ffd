/**
 * The mean of the contributions, each counting the same: `Σ g / n`.
 *
 * Source: the average of FederatedSGD, McMahan, Moore, Ramage, Hampson, Agüera y Arcas 2017,
 * "Communication-efficient learning of deep networks from decentralized data", over clients of one size.
 */
import { aggregator } from "./aggregator.ts";

export const mean = aggregator({
  class_name: "Mean",
  summary: "Averages the contributions.",
  fields: {},
  rule: () => ({ kind: "sum", divide: "count" }),
});
