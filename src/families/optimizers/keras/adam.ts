/**
 * Adam of Keras 3: adaptive estimates of the first and second moment of the gradient.
 *
 * Rule: `m ← m + (g−m)(1−β₁); v ← v + (g²−v)(1−β₂); w ← w − m·α / (√v + ε)`, `α = η·√(1−β₂ᵀ) / (1−β₁ᵀ)`.
 *
 * Sources: Kingma, Ba 2015; Reddi, Kale, Kumar 2018 (amsgrad); `keras/src/optimizers/adam.py`.
 * Variant: legacy Keras' rule, but 1−β is computed in float64 and β's powers in float32, so that the two differ in
 * the first steps. ε is outside the root and not bias-corrected.
 */
import { flag } from "../../mechanism/fields.ts";
import type { Rule } from "../member/optimizer_member.ts";
import { betas, epsilon, keras } from "./keras_constructor.ts";

export const adam = keras({
  class_name: "Adam",
  summary: "Adaptive moment estimation, optionally AMSGrad.",
  description: "Kingma, Ba 2015; Reddi et al. 2018 (amsgrad). Keras 3's: epsilon beside the raw root.",
  learningRate: 0.001,
  fields: {
    ...betas(),
    epsilon: epsilon(),
    amsgrad: flag(false, "Divide by the greatest second moment so far."),
  },
  variants: [{}, { amsgrad: true }],
  rule: (_constructed, { amsgrad }) => adamRule(amsgrad),
});

/** The lines of Adam, and of AdamW after its decay. */
export function adamRule(amsgrad: boolean): Rule {
  return {
    slots: { momentum: 0, velocity: 0, ...amsgrad && { velocity_hat: 0 } },
    slotOrder: "variable",
    doubles: ["rest_1 = 1 - beta_1", "rest_2 = 1 - beta_2"],
    scalars: ["alpha = (learning_rate * sqrt(1 - beta_2 ^ T)) / (1 - beta_1 ^ T)"],
    dense: [
      "momentum = momentum + (g - momentum) * rest_1",
      "velocity = velocity + (g * g - velocity) * rest_2",
      ...amsgrad ? ["velocity_hat = max(velocity_hat, velocity)"] : [],
      `w = w - (momentum * alpha) / (sqrt(${amsgrad ? "velocity_hat" : "velocity"}) + epsilon)`,
    ],
  };
}
