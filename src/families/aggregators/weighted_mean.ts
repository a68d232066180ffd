/**
 * The mean of the contributions, each by its client's weight: `Σ weight·g / Σ weight`. The weight is what the client
 * says: its number of examples, or 1 where it says nothing.
 *
 * Source: the average of FedAvg, McMahan, Moore, Ramage, Hampson, Agüera y Arcas 2017, "Communication-efficient
 * learning of deep networks from decentralized data". Variant: divided by the weights of the round's contributions,
 * not by those of all clients that were asked.
 */
import { aggregator } from "./aggregator.ts";

export const weightedMean = aggregator({
  class_name: "WeightedMean",
  summary: "Averages the contributions by their clients' weights.",
  fields: {},
  rule: () => ({ kind: "sum", divide: "weight" }),
});
