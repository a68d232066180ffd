/** The sum of the contributions, in the order in which they were accepted: what Keras does over replicas. */
import { aggregator } from "./aggregator.ts";

export const sum = aggregator({
  class_name: "Sum",
  summary: "Adds the contributions.",
  fields: {},
  rule: () => ({ kind: "sum", divide: "nothing" }),
});
