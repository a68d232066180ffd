/**
 * Ftrl of Keras 3: follow the (proximally) regularized leader, with L1, L2 and shrinkage.
 *
 * Rule: `N = n + g²; z ← z + (g + 2·shrinkage·w) − ((N^p − n^p)/η)·w; w ← (clamp(z, ±l1) − z) / (N^p/η + 2·L2)`;
 * `n ← N`, with `p = −learning_rate_power` and `L2 = l2 + beta/(2η)`.
 *
 * Sources: McMahan et al. 2013; `keras/src/optimizers/ftrl.py`.
 * Variant: legacy Keras' rule. A power of −0.5 is a root. w is computed from z alone, so that the first step forgets a
 * variable's initial value.
 */
import { number } from "../../mechanism/fields.ts";
import { keras } from "./keras_constructor.ts";

export const ftrl = keras({
  class_name: "Ftrl",
  summary: "Follow the regularized leader: sparse models from L1 regularization.",
  description: "McMahan et al. 2013. Keras 3's, which forgets the initial values.",
  learningRate: 0.001,
  fields: {
    learning_rate_power: number(-0.5, "How the rate falls with the accumulator; 0 keeps it.", { maximum: 0 }),
    initial_accumulator_value: number(0.1, "What the accumulator starts from.", { minimum: 0 }),
    l1_regularization_strength: number(0, "L1 regularization.", { minimum: 0 }),
    l2_regularization_strength: number(0, "L2 regularization.", { minimum: 0 }),
    l2_shrinkage_regularization_strength: number(0, "L2 regularization through the gradient.", {
      minimum: 0,
    }),
    beta: number(0, "Added to the accumulator's root, as beta in the paper."),
  },
  fixed: ["initial_accumulator_value"],
  symbols: {
    l1_regularization_strength: "l1",
    l2_regularization_strength: "l2",
    l2_shrinkage_regularization_strength: "shrinkage",
  },
  variants: [{}, { learning_rate_power: -0.3 }],
  rule: ({ initial_accumulator_value }, { learning_rate_power }) => {
    const power = (x: string) => learning_rate_power === -0.5 ? `sqrt(${x})` : `${x} ^ p`;
    return {
      slots: { accumulator: initial_accumulator_value, linear: 0 },
      slotOrder: "variable",
      scalars: ["l2_total = l2 + beta / (2 * learning_rate)", "p = -learning_rate_power"],
      dense: [
        "grown = accumulator + g * g",
        `slope = (${power("grown")} - ${power("accumulator")}) / learning_rate`,
        "linear = linear + ((g + (2 * shrinkage) * w) - slope * w)",
        `w = (clamp(linear, -l1, l1) - linear) / (${power("grown")} / learning_rate + 2 * l2_total)`,
        "accumulator = grown",
      ],
    };
  },
});
