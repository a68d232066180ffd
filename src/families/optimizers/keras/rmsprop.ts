/**
 * RMSprop of Keras 3: divides by the root of a running average of squared gradients.
 *
 * Rule: `v ← ρ·v + (1−ρ)g²; i = (η·g) / √(v + ε); w ← w − i`; with momentum `a ← μ·a + i; w ← w − a`; centered takes
 * `v − q²` for q averaging g.
 *
 * Sources: Hinton, Tieleman 2012; Graves 2013 (centered, momentum); `keras/src/optimizers/rmsprop.py`.
 * Variant: ε is inside the root, where legacy Keras without momentum has it outside.
 */
import { withoutMomentum } from "../member/base.ts";
import { flag, number } from "../../mechanism/fields.ts";
import { epsilon, keras } from "./keras_constructor.ts";

export const rmsprop = keras({
  class_name: "RMSprop",
  summary: "Per-element rates from a running average of squared gradients.",
  description: "Hinton, Tieleman 2012; Graves 2013. Keras 3's: epsilon inside the root, always.",
  learningRate: 0.001,
  fields: {
    rho: number(0.9, "How much of the averages stays."),
    momentum: number(0, "How much of the last steps stays.", { minimum: 0, maximum: 1 }),
    epsilon: epsilon(),
    centered: flag(false, "Subtract the squared average gradient: an estimate of the variance."),
  },
  symbols: { momentum: "mu" },
  variants: [{}, { centered: true }, { momentum: 0.9 }, { momentum: 0.9, centered: true }],
  idle: withoutMomentum,
  rule: (constructed, { centered }) => ({
    slots: {
      velocity: 0,
      ...constructed.momentum > 0 && { momentum: 0 },
      ...centered && { average_gradient: 0 },
    },
    doubles: ["rest = 1 - rho"],
    dense: [
      "velocity = rho * velocity + rest * (g * g)",
      ...centered ? ["average_gradient = rho * average_gradient + rest * g"] : [],
      `d = ${centered ? "(velocity - average_gradient * average_gradient)" : "velocity"} + epsilon`,
      "increment = (learning_rate * g) / sqrt(d)",
      ...constructed.momentum > 0
        ? ["momentum = mu * momentum + increment", "w = w - momentum"]
        : ["w = w - increment"],
    ],
  }),
});
