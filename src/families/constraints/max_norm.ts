/**
 * Norms of at most max_value: `w · (clip(n, 0, max_value) / (ε + n))`.
 *
 * Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
 */
import { number } from "../mechanism/fields.ts";
import { axis, constraint, EPSILON, resolveAxes } from "./constraint.ts";

const CLASS_NAME = "MaxNorm";

export const maxNorm = constraint({
  class_name: CLASS_NAME,
  aliases: ["max_norm"],
  summary: "Scales down what has a norm above max_value.",
  fields: { max_value: number(2, "The greatest norm."), axis: axis() },
  rule: (config, shape, path) => ({
    rule: {
      kind: "axis_norm",
      axis: resolveAxes(config.axis, { className: CLASS_NAME, shape, path }),
      factor: ["factor = clamp(norm, 0, max_value) / (epsilon + norm)"],
      apply: "multiply",
    },
    uniforms: { max_value: config.max_value, epsilon: EPSILON },
  }),
});
