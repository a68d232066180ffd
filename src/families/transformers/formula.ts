/**
 * A user's transformer: lines over the gradient `g`, the variable `w`, `t` and `T = t + 1` that set `g`.
 *
 * Variant: reductions are over one variable's gradient. For a sparse gradient they are over its stored rows, before
 * repeated rows are summed, unless the lines read w.
 */
import { checkLines, lineFields } from "../mechanism/formula_config.ts";
import { z } from "zod";
import type { TransformerMember } from "./transformer.ts";

const fields = lineFields('What becomes of the gradient, for example "g = clamp(g, -c, c)".');

export const formula: TransformerMember<z.output<z.ZodObject<typeof fields>> & Record<string, unknown>> = {
  class_name: "Formula",
  summary: "Puts each variable's gradient through formulas of one's own.",
  config: z.strictObject(fields),
  rule: { kind: "formula" },
  formulas: ["lines"],
  check: (given) => checkLines(given, { tensors: ["w", "g"], target: "g", numbers: ["t", "T"] }),
  uniforms: ({ parameters }) => parameters,
};
