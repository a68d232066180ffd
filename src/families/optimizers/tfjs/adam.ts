/**
 * TensorFlow.js' Adam: adaptive estimates of the first and second moment of the gradient.
 *
 * Rule: `m ← m·β₁ + g(1−β₁); v ← v·β₂ + g²(1−β₂); w ← (−η)·(m/(1−P₁)) / (√(v/(1−P₂)) + ε) + w`, P the product of all
 * β so far.
 *
 * Sources: Kingma, Ba 2015; tfjs-core, `optimizers/adam_optimizer.ts`.
 * Variant: 1−β is computed in float64, but P is a float32 number that each step multiplies. ε is beside the
 * bias-corrected root.
 */
import { betas, epsilon, tfjs } from "./tfjs_constructor.ts";

export const adam = tfjs({
  class_name: "Adam",
  summary: "Adaptive moment estimation.",
  description: "Kingma, Ba 2015. TensorFlow.js': epsilon beside the bias-corrected root.",
  learningRate: 0.001,
  fields: { ...betas, epsilon: epsilon() },
  variants: [{}],
  rule: () => ({
    slots: { m: 0, v: 0 },
    state: { acc_beta1: 1, acc_beta2: 1 },
    doubles: ["rest1 = 1 - beta1", "rest2 = 1 - beta2"],
    scalars: [
      "acc_beta1 = acc_beta1 * beta1",
      "acc_beta2 = acc_beta2 * beta2",
      "bias1 = 1 - acc_beta1",
      "bias2 = 1 - acc_beta2",
    ],
    dense: [
      "m = m * beta1 + g * rest1",
      "v = v * beta2 + (g * g) * rest2",
      "w = w - ((m / bias1) / (sqrt(v / bias2) + epsilon)) * learning_rate",
    ],
  }),
});
