/**
 * TensorFlow.js' Adadelta: steps scaled by the ratio of past steps to past gradients.
 *
 * Rule: `u = (√(D+ε) / √(A+ε))·g; A ← A·ρ + g²(1−ρ); D ← D·ρ + u²(1−ρ); w ← (−η)·u + w`.
 *
 * Sources: Zeiler 2012; tfjs-core, `optimizers/adadelta_optimizer.ts`.
 * Variant: the step divides by A before this gradient; Zeiler and all others divide by the new one. So the first step
 * is g·η.
 */
import { number } from "../../mechanism/fields.ts";
import { epsilon, tfjs } from "./tfjs_constructor.ts";

export const adadelta = tfjs({
  class_name: "Adadelta",
  summary: "Steps scaled by the ratio of past steps to past gradients.",
  description: "Zeiler 2012. TensorFlow.js': divides by the average before the gradient of the step.",
  learningRate: 0.001,
  fields: { rho: number(0.95, "How much of the averages stays."), epsilon: epsilon() },
  variants: [{}],
  rule: () => ({
    slots: { accum_grad: 0, accum_var: 0 },
    doubles: ["rest = 1 - rho"],
    dense: [
      "u = (sqrt(accum_var + epsilon) / sqrt(accum_grad + epsilon)) * g",
      "accum_grad = accum_grad * rho + (g * g) * rest",
      "accum_var = accum_var * rho + (u * u) * rest",
      "w = w - learning_rate * u",
    ],
  }),
});
