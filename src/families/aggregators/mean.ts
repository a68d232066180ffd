/**
 * The unweighted mean of the contributions: `Σ g / n`.
 *
 * Source: the average of FederatedSGD, McMahan, Moore, Ramage, Hampson, Agüera y Arcas 2017,
 * "Communication-efficient learning of deep networks from decentralized data", for clients with equally many
 * examples.
 */
import { aggregator } from "./aggregator.ts";

export const mean = aggregator({
  class_name: "Mean",
  summary: "Averages the contributions.",
  fields: {},
  rule: () => ({ kind: "sum", divide: "count" }),
});
