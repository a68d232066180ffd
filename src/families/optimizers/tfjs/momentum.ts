/**
 * TensorFlow.js' Momentum: gradient descent with Polyak or Nesterov momentum.
 *
 * Rule: `a ← μ·a + g; w ← (−η)·a + w`; Nesterov `w ← (−η)·(g + a·μ) + w`.
 *
 * Sources: Polyak 1964; tfjs-core, `optimizers/momentum_optimizer.ts`.
 * Variant: the learning rate is outside the velocity, where Keras folds it in.
 */
import { flag, number } from "../../mechanism/fields.ts";
import { tfjs } from "./tfjs_constructor.ts";

export const momentum = tfjs({
  class_name: "Momentum",
  summary: "Gradient descent with momentum.",
  description: "Polyak 1964. TensorFlow.js': the learning rate is outside the velocity.",
  learningRate: 0.01,
  fields: {
    momentum: number(0.9, "How much of the velocity stays."),
    useNesterov: flag(false, "Look ahead along the velocity."),
  },
  symbols: { momentum: "mu" },
  variants: [{}, { useNesterov: true }],
  rule: (_constructed, { useNesterov }) => ({
    slots: { momentum: 0 },
    dense: [
      "momentum = mu * momentum + g",
      `w = w - learning_rate * ${useNesterov ? "(g + momentum * mu)" : "momentum"}`,
    ],
  }),
});
