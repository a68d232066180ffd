/** The sum of the contributions, in accepted order, as Keras sums over replicas. */
import { aggregator } from "./aggregator.ts";

export const sum = aggregator({
  class_name: "Sum",
  summary: "Adds the contributions.",
  fields: {},
  rule: () => ({ kind: "sum", divide: "nothing" }),
});
