/**
 * Adadelta: steps in the units of the variable, from running averages of squared gradients and squared steps.
 *
 * Rule: `A ← A·ρ + g²(1−ρ); u = √(D+ε) · (1/√(A+ε)) · g; w ← w − u·η; D ← D·ρ + u²(1−ρ)`, u with the old D.
 *
 * Source: Zeiler 2012, "ADADELTA: An adaptive learning rate method".
 * Variant: D accumulates u without η (the paper has η = 1). TensorFlow uses an approximate 1/√ on full vectors, this
 * rule the exact one: they differ by a few units in the last place per step.
 */
import { number } from "../../mechanism/fields.ts";
import { epsilon, legacy } from "./legacy_constructor.ts";

export const adadelta = legacy({
  class_name: "Adadelta",
  summary: "Steps scaled by the ratio of past steps to past gradients.",
  description: "Zeiler 2012. The average of squared steps does not hold the learning rate.",
  learningRate: 0.001,
  fields: {
    rho: number(0.95, "How much of the averages stays."),
    epsilon: epsilon(),
  },
  hyper: ["rho"],
  savedByVersion1: "without_iterations",
  variants: [{}],
  rule: () => ({
    slots: { accum_grad: 0, accum_var: 0 },
    dense: [
      "accum_grad = (accum_grad * rho) + ((g * g) * (1 - rho))",
      "u = (sqrt(accum_var + epsilon) * (1 / sqrt(accum_grad + epsilon))) * g",
      "w = w - u * learning_rate",
      "accum_var = (accum_var * rho) + ((u * u) * (1 - rho))",
    ],
  }),
});
