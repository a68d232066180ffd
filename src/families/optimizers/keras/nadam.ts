/**
 * Nadam of Keras 3: Adam with Nesterov momentum, whose decay follows its own schedule.
 *
 * Rule: `u = β₁(1 − ½·0.96ᵀ)`, u' the same for T+1; `P ← P·u`; m and v as in Adam;
 * `w ← w − (u'·m/(1−P·u') + (1−u)·g/(1−P))·η / (√(v/(1−β₂ᵀ)) + ε)`.
 *
 * Sources: Dozat 2016; `keras/src/optimizers/nadam.py`.
 * Variant: the schedule is 250 times as fast as legacy Keras', which has 0.96 ^ (0.004·T). P is one number of the run.
 */
import { betas, epsilon, keras } from "./keras_constructor.ts";

export const nadam = keras({
  class_name: "Nadam",
  summary: "Adam with Nesterov momentum on a schedule.",
  description: "Dozat 2016. Keras 3's: the schedule 0.96^T, epsilon beside the bias-corrected root.",
  learningRate: 0.001,
  fields: { ...betas(), epsilon: epsilon() },
  variants: [{}],
  rule: () => ({
    slots: { momentum: 0, velocity: 0 },
    slotOrder: "variable",
    state: { u_product: 1 },
    scalars: [
      "u = beta_1 * (1 - 0.5 * 0.96 ^ T)",
      "u_next = beta_1 * (1 - 0.5 * 0.96 ^ (T + 1))",
      "u_product = (u_product * beta_1) * (1 - 0.5 * 0.96 ^ T)",
      "u_product_next = u_product * u_next",
      "bias_2 = 1 - beta_2 ^ T",
    ],
    dense: [
      "momentum = momentum + (g - momentum) * (1 - beta_1)",
      "velocity = velocity + (g * g - velocity) * (1 - beta_2)",
      "ahead = (u_next * momentum) / (1 - u_product_next) + ((1 - u) * g) / (1 - u_product)",
      "w = w - (ahead * learning_rate) / (sqrt(velocity / bias_2) + epsilon)",
    ],
  }),
});
