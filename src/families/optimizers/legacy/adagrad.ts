/**
 * Adagrad: divides by the root of the sum of all squared gradients so far.
 *
 * Rule: `n ← n + g²; w ← w − (g·η) / (√n + ε)`.
 *
 * Source: Duchi, Hazan, Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization".
 * Variant: ε is outside the root; the accumulator starts at 0.1. Sparse gradients change only their own rows.
 */
import { number } from "../../mechanism/fields.ts";
import { epsilon, legacy } from "./legacy_constructor.ts";

export const adagrad = legacy({
  class_name: "Adagrad",
  summary: "Per-element rates from the sum of squared gradients.",
  description: "Duchi et al. 2011. Epsilon outside the root; the accumulator starts at 0.1.",
  learningRate: 0.001,
  checkedFirst: ["initial_accumulator_value"],
  fields: {
    initial_accumulator_value: number(0.1, "What the accumulator starts from.", { minimum: 0 }),
    epsilon: epsilon(),
  },
  hyper: [],
  fixed: ["initial_accumulator_value"],
  warn: ({ learning_rate }) =>
    typeof learning_rate === "number"
      ? []
      : ["Keras' Adagrad.from_config does not revive a schedule: this config works here, but not there"],
  savedByVersion1: "without_iterations",
  variants: [{}],
  rule: ({ initial_accumulator_value }) => ({
    slots: { accumulator: initial_accumulator_value },
    dense: [
      "accumulator = accumulator + g * g",
      "w = w - (g * learning_rate) / (sqrt(accumulator) + epsilon)",
    ],
  }),
});
