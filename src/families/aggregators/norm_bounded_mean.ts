/**
 * The mean of the clipped contributions: `Σ g / max(1, ‖g‖ / norm_bound) / n`, with the norm over all variables of a
 * contribution. One client moves the mean by at most norm_bound / n.
 *
 * Source: Sun, Kairouz, Suresh, McMahan 2019, "Can you really backdoor federated learning?". Variant: the mean is
 * unweighted: a weight that a client claims would undo the bound.
 */
import { float32 } from "../../float32.ts";
import { aggregator } from "./aggregator.ts";

export const normBoundedMean = aggregator({
  class_name: "NormBoundedMean",
  summary: "Averages the contributions, each clipped to a norm.",
  fields: { norm_bound: float32().gt(0).describe("The greatest norm of a contribution, above 0.") },
  rule: ({ norm_bound }) => ({ kind: "sum", divide: "count", normBound: norm_bound }),
});
