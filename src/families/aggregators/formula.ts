/**
 * The mean of the contributions with weights from a user's formula. The formula may read `norm`, the L2 norm over all
 * variables before client_clipnorm; `staleness`, in iterations; `weight` and `loss`, as the client sent them. If it
 * reads the loss, a contribution without one is refused.
 *
 * Variant: a weight of 0 or less counts as 0, and one that is not finite is refused, or counts as 0 in a run that
 * propagates what is not finite. If all weights are 0, the gradient is zero.
 */
import { z } from "zod";
import { Program } from "../../../kernels/compiler/compile.ts";
import { evaluateScalars } from "../../../kernels/compiler/runner.ts";
import { FLOAT32_MAX } from "../../float32.ts";
import { checkExpression } from "../mechanism/formula_config.ts";
import { aggregator, type Figures } from "./aggregator.ts";

const NAMES: readonly (keyof Figures)[] = ["norm", "staleness", "weight", "loss"];

export const formula = aggregator({
  class_name: "Formula",
  summary: "Averages the contributions by weights of one's own.",
  fields: {
    weight: z.string()
      .describe("The weight over norm, staleness, weight and loss, for example weight / (1 + staleness)."),
  },
  formulas: ["weight"],
  check: ({ weight }) => checkExpression("weight", weight, NAMES),
  rule({ weight }) {
    const program = new Program([`made = ${weight}`], { tensors: [], stored: [], uniforms: NAMES });
    return {
      kind: "sum",
      divide: "weight",
      lossMin: /\bloss\b/.test(weight) ? -FLOAT32_MAX : undefined,
      weigh: (figures) => {
        const { made = 0 } = evaluateScalars(
          program,
          Object.fromEntries(NAMES.map((name) => [name, figures[name]])),
        );
        return made;
      },
    };
  },
});
