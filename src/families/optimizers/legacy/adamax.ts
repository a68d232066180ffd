/**
 * Adamax: Adam with the infinity norm for the second moment.
 *
 * Rule: `m ← m + (g−m)(1−β₁); v ← max(β₂·v, |g|); w ← w − (η/(1−β₁ᵀ)) · (m/(v+ε))`.
 *
 * Source: Kingma, Ba 2015, "Adam: A method for stochastic optimization", section 7.
 * Variant: ε is added to the norm (the paper has none). Sparse gradients change only their own rows.
 */
import { number } from "../../mechanism/fields.ts";
import { epsilon, legacy } from "./legacy_constructor.ts";

export const adamax = legacy({
  class_name: "Adamax",
  summary: "Adam with the infinity norm.",
  description: "Kingma, Ba 2015, section 7. Epsilon is added to the norm.",
  learningRate: 0.001,
  fields: {
    beta_1: number(0.9, "How much of the first moment stays."),
    beta_2: number(0.999, "How much of the infinity norm stays."),
    epsilon: epsilon(),
  },
  hyper: ["beta_1", "beta_2"],
  variants: [{}],
  rule: () => ({
    slots: { m: 0, v: 0 },
    scalars: ["power_1 = beta_1 ^ T"],
    dense: [
      "m = m + (g - m) * (1 - beta_1)",
      "v = max(beta_2 * v, abs(g))",
      "w = w - (learning_rate / (1 - power_1)) * (m / (v + epsilon))",
    ],
    sparse: {
      rows: [
        "m = (m * beta_1) + (g * (1 - beta_1))",
        // TensorFlow's sparse maximum propagates every NaN; its dense kernel ignores a NaN in g.
        "v = where(g == g, max(v * beta_2, abs(g)), abs(g))",
        "w = w + ((-learning_rate) / (1 - power_1)) * (m / (v + epsilon))",
      ],
    },
  }),
});
