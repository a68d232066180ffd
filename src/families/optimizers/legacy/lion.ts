/**
 * Lion: steps of one size, with the sign of an interpolated momentum.
 *
 * Rule: `w ← w − (w·λ)·η; w ← w − η·sign(m·β₁ + g(1−β₁)); m ← m·β₂ + g(1−β₂)`.
 *
 * Source: Chen et al. 2023, "Symbolic discovery of optimization algorithms", algorithm 2.
 * Variant: the paper's, with its weight decay (default 0) applied first, as in Keras 3: the same in exact arithmetic.
 * sign(0) is 0. Sparse gradients change only their own rows.
 */
import { number } from "../../mechanism/fields.ts";
import { optimizer } from "../member/base.ts";

export const lion = optimizer({
  class_name: "Lion",
  summary: "Steps along the sign of an interpolated momentum.",
  description: "Chen et al. 2023. Weight decay is decoupled and comes first; none by default.",
  learningRate: 0.001,
  fields: {
    beta_1: number(0.9, "How much the momentum counts in a step.", { minimum: 0, maximum: 1 }),
    beta_2: number(0.99, "How much of the momentum stays.", { minimum: 0, maximum: 1 }),
    weight_decay: number(0, "What part of the variable a rate of 1 would take away.", { minimum: 0 }),
  },
  hyper: ["beta_1", "beta_2", "weight_decay"],
  variants: [{}, { weight_decay: 0.1 }],
  rule: (_constructed, { weight_decay }) => ({
    slots: { m: 0 },
    dense: [
      ...weight_decay > 0 ? ["w = w - (w * weight_decay) * learning_rate"] : [],
      "w = w - learning_rate * sign(m * beta_1 + g * (1 - beta_1))",
      "m = m * beta_2 + g * (1 - beta_2)",
    ],
  }),
});
