/** A user's constraint: lines that read the updated variable `w` and set it. Reductions are over all of `w`. */
import { checkLines, lineFields, withOwnNames } from "../mechanism/formula_config.ts";
import { constraint } from "./constraint.ts";

export const formula = constraint({
  class_name: "Formula",
  summary: "Puts the variable through formulas of one's own.",
  fields: lineFields('What becomes of the variable, for example "w = clamp(w, -c, c)".'),
  formulas: ["lines"],
  check: (given) => checkLines(given, { tensors: ["w"], target: "w", numbers: [] }),
  rule: ({ lines, parameters }) => {
    const own = withOwnNames(lines, parameters, { keep: ["w"], suffix: "constraint" });
    return { rule: { kind: "elementwise", lines: own.lines }, uniforms: own.uniforms };
  },
});
