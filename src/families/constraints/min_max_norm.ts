/**
 * Norms moved into an interval: `w · ((rate·clip(n, min, max) + (1−rate)·n) / (ε + n))`.
 *
 * Variant: `1 − rate` is a float64 difference, rounded once, as in Keras. Zeros stay zeros.
 */
import { number } from "../mechanism/fields.ts";
import { axis, constraint, EPSILON, resolveAxes } from "./constraint.ts";

const CLASS_NAME = "MinMaxNorm";

export const minMaxNorm = constraint({
  class_name: CLASS_NAME,
  aliases: ["min_max_norm"],
  summary: "Draws norms into the interval from min_value to max_value.",
  fields: {
    min_value: number(0, "The least norm."),
    max_value: number(1, "The greatest norm."),
    rate: number(1, "How much of the way a step goes; 1 is all of it."),
    axis: axis(),
  },
  rule: (config, shape, path) => ({
    rule: {
      kind: "axis_norm",
      axis: resolveAxes(config.axis, { className: CLASS_NAME, shape, path }),
      factor: [
        "wanted = rate * clamp(norm, min_value, max_value) + rest * norm",
        "factor = wanted / (epsilon + norm)",
      ],
      apply: "multiply",
    },
    uniforms: {
      min_value: config.min_value,
      max_value: config.max_value,
      rate: config.rate,
      rest: 1 - config.rate,
      epsilon: EPSILON,
    },
  }),
});
