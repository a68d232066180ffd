/**
 * Adagrad of Keras 3: per-element rates from the sum of squared gradients.
 *
 * Rule: `n ← n + g²; w ← w − (η·g) / √(n + ε)`.
 *
 * Sources: Duchi, Hazan, Singer 2011; `keras/src/optimizers/adagrad.py`.
 * Variant: ε is inside the root, where legacy Keras has it outside.
 */
import { number } from "../../mechanism/fields.ts";
import { epsilon, keras } from "./keras_constructor.ts";

export const adagrad = keras({
  class_name: "Adagrad",
  summary: "Per-element rates from the sum of squared gradients.",
  description: "Duchi et al. 2011. Keras 3's: epsilon inside the root.",
  learningRate: 0.001,
  fields: {
    initial_accumulator_value: number(0.1, "What the accumulator starts from.", { minimum: 0 }),
    epsilon: epsilon(),
  },
  fixed: ["initial_accumulator_value"],
  variants: [{}],
  rule: ({ initial_accumulator_value }) => ({
    slots: { accumulator: initial_accumulator_value },
    dense: [
      "accumulator = accumulator + g * g",
      "w = w - (learning_rate * g) / sqrt(accumulator + epsilon)",
    ],
  }),
});
