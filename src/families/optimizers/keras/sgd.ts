/**
 * SGD of Keras 3: gradient descent, optionally with Polyak or Nesterov momentum.
 *
 * Rule: `w ← w − g·η`; with momentum `a ← a·μ − g·η; w ← w + a`; Nesterov `w ← w + (a·μ − g·η)` with the new a.
 *
 * Sources: Polyak 1964; Sutskever et al. 2013; `keras/src/optimizers/sgd.py`.
 * Variant: legacy Keras' rule.
 */
import { flag, number } from "../../mechanism/fields.ts";
import { keras } from "./keras_constructor.ts";

export const sgd = keras({
  class_name: "SGD",
  summary: "Gradient descent, optionally with momentum.",
  description:
    "Polyak 1964; Sutskever et al. 2013. Keras 3's: the learning rate is folded into the velocity.",
  learningRate: 0.01,
  fields: {
    momentum: number(0, "How much of the velocity stays.", { minimum: 0, maximum: 1 }),
    nesterov: flag(false, "Look ahead along the velocity; without momentum this says nothing."),
  },
  symbols: { momentum: "mu" },
  variants: [{}, { momentum: 0.9 }, { momentum: 0.9, nesterov: true }],
  rule: (_constructed, { momentum, nesterov }) =>
    momentum > 0
      ? {
        slots: { momentum: 0 },
        dense: [
          "momentum = momentum * mu - g * learning_rate",
          nesterov ? "w = w + (momentum * mu - g * learning_rate)" : "w = w + momentum",
        ],
      }
      : { slots: {}, dense: ["w = w - g * learning_rate"] },
});
