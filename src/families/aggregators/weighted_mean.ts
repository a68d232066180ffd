/**
 * The mean of the contributions, weighted by their clients: `Σ weight·g / Σ weight`. A client sends its number of
 * examples as the weight; the default is 1.
 *
 * Source: the average of FedAvg, McMahan, Moore, Ramage, Hampson, Agüera y Arcas 2017, "Communication-efficient
 * learning of deep networks from decentralized data". Variant: the divisor is the weight of the round's
 * contributions, not that of all clients that were asked.
 */
import { aggregator } from "./aggregator.ts";

export const weightedMean = aggregator({
  class_name: "WeightedMean",
  summary: "Averages the contributions by their clients' weights.",
  fields: {},
  rule: () => ({ kind: "sum", divide: "weight" }),
});
