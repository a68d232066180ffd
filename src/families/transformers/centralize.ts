/**
 * Gradient centralization: `g − mean(g)` over all axes but the last (per output unit); vectors stay as they are.
 *
 * Source: Yong, Huang, Hua, Zhang 2020, "Gradient centralization: a new optimization technique for deep neural
 * networks".
 */
import { transformer } from "./transformer.ts";

export const centralize = transformer({
  class_name: "Centralize",
  summary: "Subtracts each output unit's mean from its gradient.",
  fields: {},
  rule: { kind: "axis_mean", axes: "all_but_last" },
});
