/**
 * TensorFlow.js' Adamax: Adam with the infinity norm.
 *
 * Rule: `m ← m·β₁ + g(1−β₁); u ← max(u·β₂, |g|); w ← (−η/(1 + δt) / (1−P))·(m/(u + ε)) + w`, P the product of all β₁.
 *
 * Sources: Kingma, Ba 2015, section 7.1; tfjs-core, `optimizers/adamax_optimizer.ts`.
 * Variant: δ is decay. ε is added to u. The slot of u is called v.
 */
import { number } from "../../mechanism/fields.ts";
import { betas, epsilon, tfjs } from "./tfjs_constructor.ts";

export const adamax = tfjs({
  class_name: "Adamax",
  summary: "Adam with the infinity norm.",
  description: "Kingma, Ba 2015, section 7.1. TensorFlow.js': epsilon beside the infinity norm.",
  learningRate: 0.002,
  fields: {
    ...betas,
    epsilon: epsilon(),
    decay: number(0, "Divides the learning rate of step t by 1 + decay · t.", { minimum: 0 }),
  },
  symbols: { decay: "rate_decay" },
  variants: [{}],
  rule: () => ({
    slots: { m: 0, v: 0 },
    state: { acc_beta1: 1 },
    doubles: ["rest1 = 1 - beta1"],
    scalars: [
      "acc_beta1 = acc_beta1 * beta1",
      "rate = (learning_rate / (t * rate_decay + 1)) / (1 - acc_beta1)",
    ],
    dense: [
      "m = m * beta1 + g * rest1",
      "v = max(v * beta2, abs(g))",
      "w = w - rate * (m / (v + epsilon))",
    ],
  }),
});
