/**
 * Stochastic gradient descent, optionally with Polyak or Nesterov momentum.
 *
 * Rule: `w ← w − g·η`; with momentum `a ← a·μ − g·η; w ← w + a`; Nesterov `w ← w + (a·μ − g·η)` with the new a.
 *
 * Sources: Polyak 1964; Sutskever, Martens, Dahl, Hinton 2013, "On the importance of initialization and momentum".
 * Variant: Keras' form. The learning rate is folded into the velocity, so that changing it does not rescale the
 * velocity so far. The constructor decides once whether there is momentum.
 */
import { flag, number } from "../../mechanism/fields.ts";
import { withoutMomentum } from "../member/base.ts";
import { legacy } from "./legacy_constructor.ts";

export const sgd = legacy({
  class_name: "SGD",
  summary: "Gradient descent, optionally with momentum.",
  description:
    "Polyak 1964; Sutskever et al. 2013. The learning rate is folded into the velocity (Keras' form).",
  learningRate: 0.01,
  fields: {
    momentum: number(0, "How much of the velocity stays; 0 means that there is none.", {
      minimum: 0,
      maximum: 1,
    }),
    nesterov: flag(false, "Look ahead along the velocity; without momentum this says nothing."),
  },
  hyper: ["momentum"],
  symbols: { momentum: "mu" },
  variants: [{}, { momentum: 0.9 }, { momentum: 0.9, nesterov: true }],
  idle: withoutMomentum,
  rule: ({ momentum }, { nesterov }) =>
    momentum > 0
      ? {
        slots: { momentum: 0 },
        dense: [
          "momentum = (momentum * mu) - (g * learning_rate)",
          nesterov ? "w = w + ((momentum * mu) - (g * learning_rate))" : "w = w + momentum",
        ],
      }
      : {
        slots: {},
        dense: ["w = w - (g * learning_rate)"],
        sparse: { scatter: true, rows: ["w = w + ((-g) * learning_rate)"] },
      },
});
