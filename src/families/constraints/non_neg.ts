/** No negative elements: `w · (1 where w ≥ 0, else 0)`. Negatives become −0; −∞ and NaN become NaN, as in Keras. */
import { constraint } from "./constraint.ts";

export const nonNeg = constraint({
  class_name: "NonNeg",
  aliases: ["non_neg"],
  summary: "Makes negative elements 0.",
  fields: {},
  rule: () => ({
    rule: { kind: "elementwise", lines: ["w = w * where(w >= 0, 1, 0)"] },
    uniforms: {},
  }),
});
