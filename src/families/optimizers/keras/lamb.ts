/**
 * Lamb of Keras 3: Adam with each variable's step scaled to the norm of the variable.
 *
 * Rule: m and v as in Adam; `u = (m/(1−β₁ᵀ)) / (√(v/(1−β₂ᵀ)) + ε); w ← w − (‖w‖/‖u‖ · η) · u`.
 *
 * Sources: You et al. 2020; `keras/src/optimizers/lamb.py`.
 * Variant: weight decay is decoupled and comes first, where the paper has it in u. The ratio is 1 where either norm
 * is 0.
 */
import { betas, epsilon, keras } from "./keras_constructor.ts";

export const lamb = keras({
  class_name: "Lamb",
  summary: "Adam with a trust ratio for each variable, for large batches.",
  description: "You et al. 2020. Keras 3's: weight decay is not in the scaled step.",
  learningRate: 0.001,
  fields: { ...betas(), epsilon: epsilon() },
  variants: [{}],
  rule: () => ({
    slots: { momentum: 0, velocity: 0 },
    slotOrder: "variable",
    doubles: ["rest_1 = 1 - beta_1", "rest_2 = 1 - beta_2"],
    scalars: ["bias_1 = 1 - beta_1 ^ T", "bias_2 = 1 - beta_2 ^ T"],
    dense: [
      "momentum = momentum + (g - momentum) * rest_1",
      "velocity = velocity + (g * g - velocity) * rest_2",
      "u = (momentum / bias_1) / (sqrt(velocity / bias_2) + epsilon)",
      "size = norm(w)",
      "length = norm(u)",
      "ratio = where(size > 0, where(length > 0, size / length, 1), 1)",
      "w = w - (ratio * learning_rate) * u",
    ],
  }),
});
