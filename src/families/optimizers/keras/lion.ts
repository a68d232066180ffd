/**
 * Lion of Keras 3: steps of one size, with the sign of an interpolated momentum.
 *
 * Rule: `w ← w − η·sign(m·β₁ + g(1−β₁)); m ← m·β₂ + g(1−β₂)`.
 *
 * Sources: Chen et al. 2023, algorithm 2; `keras/src/optimizers/lion.py`.
 * Variant: sign(0) is 0.
 */
import { number } from "../../mechanism/fields.ts";
import { keras } from "./keras_constructor.ts";

export const lion = keras({
  class_name: "Lion",
  summary: "Steps along the sign of an interpolated momentum.",
  description: "Chen et al. 2023. Keras 3's.",
  learningRate: 0.001,
  fields: {
    beta_1: number(0.9, "How much the momentum counts in a step.", { minimum: 0, maximum: 1 }),
    beta_2: number(0.99, "How much of the momentum stays.", { minimum: 0, maximum: 1 }),
  },
  variants: [{}],
  rule: () => ({
    slots: { momentum: 0 },
    dense: [
      "w = w - learning_rate * sign(momentum * beta_1 + g * (1 - beta_1))",
      "momentum = momentum * beta_2 + g * (1 - beta_2)",
    ],
  }),
});
