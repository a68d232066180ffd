/**
 * Adamax of Keras 3: Adam with the infinity norm.
 *
 * Rule: `m ← m + (g−m)(1−β₁); u ← max(β₂u, |g|); w ← w − (η·m) / ((1−β₁ᵀ)(u + ε))`.
 *
 * Sources: Kingma, Ba 2015, section 7.1; `keras/src/optimizers/adamax.py`.
 * Variant: ε is added to u. Keras calls the second slot `norm`, which is a function here.
 */
import { betas, epsilon, keras } from "./keras_constructor.ts";

export const adamax = keras({
  class_name: "Adamax",
  summary: "Adam with the infinity norm.",
  description: "Kingma, Ba 2015, section 7.1. Keras 3's: epsilon beside the infinity norm.",
  learningRate: 0.001,
  fields: { ...betas(), epsilon: epsilon() },
  variants: [{}],
  rule: () => ({
    slots: { momentum: 0, infinity_norm: 0 },
    slotOrder: "variable",
    doubles: ["rest_1 = 1 - beta_1"],
    scalars: ["bias_1 = 1 - beta_1 ^ T"],
    dense: [
      "momentum = momentum + (g - momentum) * rest_1",
      "infinity_norm = max(beta_2 * infinity_norm, abs(g))",
      "w = w - (learning_rate * momentum) / (bias_1 * (infinity_norm + epsilon))",
    ],
  }),
});
