/**
 * Adadelta of Keras 3: steps scaled by the ratio of past steps to past gradients.
 *
 * Rule: `A ← ρA + (1−ρ)g²; u = −(√(D+ε)·g) / √(A+ε); D ← ρD + (1−ρ)u²; w ← w + η·u`.
 *
 * Sources: Zeiler 2012; `keras/src/optimizers/adadelta.py`.
 * Variant: legacy Keras' rule with exact roots.
 */
import { number } from "../../mechanism/fields.ts";
import { epsilon, keras } from "./keras_constructor.ts";

export const adadelta = keras({
  class_name: "Adadelta",
  summary: "Steps scaled by the ratio of past steps to past gradients.",
  description: "Zeiler 2012. Keras 3's: epsilon inside both roots.",
  learningRate: 0.001,
  fields: { rho: number(0.95, "How much of the averages stays."), epsilon: epsilon() },
  variants: [{}],
  rule: () => ({
    slots: { accumulated_grad: 0, accumulated_delta_var: 0 },
    slotOrder: "variable",
    doubles: ["rest = 1 - rho"],
    dense: [
      "accumulated_grad = rho * accumulated_grad + rest * (g * g)",
      "u = -((sqrt(accumulated_delta_var + epsilon) * g) / sqrt(accumulated_grad + epsilon))",
      "accumulated_delta_var = rho * accumulated_delta_var + rest * (u * u)",
      "w = w + learning_rate * u",
    ],
  }),
});
