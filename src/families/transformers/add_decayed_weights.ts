/** L2 regularization as a gradient: `g + weight_decay · w`. Not decoupled: adaptive optimizers rescale it. */
import { number } from "../mechanism/fields.ts";
import { transformer } from "./transformer.ts";

export const addDecayedWeights = transformer({
  class_name: "AddDecayedWeights",
  summary: "Adds a fraction of the variable to its gradient.",
  fields: { weight_decay: number(0, "The fraction.", { minimum: 0 }) },
  rule: { kind: "lines", lines: ["g = g + weight_decay * w"] },
});
