/** Norms of 1: `w / (ε + n)`. */
import { axis, constraint, EPSILON, resolveAxes } from "./constraint.ts";

const CLASS_NAME = "UnitNorm";

export const unitNorm = constraint({
  class_name: CLASS_NAME,
  aliases: ["unit_norm"],
  summary: "Scales everything to norm 1.",
  fields: { axis: axis() },
  rule: (config, shape, path) => ({
    rule: {
      kind: "axis_norm",
      axis: resolveAxes(config.axis, { className: CLASS_NAME, shape, path }),
      factor: ["factor = epsilon + norm"],
      apply: "divide",
    },
    uniforms: { epsilon: EPSILON },
  }),
});
