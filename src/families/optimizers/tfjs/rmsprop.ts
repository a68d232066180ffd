/**
 * TensorFlow.js' RMSProp: divides by the root of a running average of squared gradients.
 *
 * Rule: `r ← r·ρ + g²(1−ρ); a ← a·μ + (g·η)/√(r + ε); w ← w − a`; centered takes `√(r − (q² + ε))` for q averaging g.
 *
 * Sources: Hinton, Tieleman 2012; Graves 2013; tfjs-core, `optimizers/rmsprop_optimizer.ts`.
 * Variant: the config calls ρ `decay`. Centered, ε is taken away inside the root, where it should be added: a step
 * may be NaN.
 */
import { flag, number } from "../../mechanism/fields.ts";
import { epsilon, tfjs } from "./tfjs_constructor.ts";

export const rmsprop = tfjs({
  class_name: "RMSProp",
  summary: "Per-element rates from a running average of squared gradients.",
  description:
    "Hinton, Tieleman 2012; Graves 2013. TensorFlow.js': decay is rho; centered, epsilon is subtracted.",
  learningRate: 0.01,
  fields: {
    decay: number(0.9, "How much of the averages stays: rho of other frameworks."),
    momentum: number(0, "How much of the last steps stays."),
    epsilon: epsilon(),
    centered: flag(false, "Subtract the squared average gradient: an estimate of the variance."),
  },
  symbols: { decay: "rho", momentum: "mu" },
  variants: [{}, { centered: true }],
  rule: (_constructed, { centered }) => ({
    slots: { rms: 0, momentum: 0, ...centered && { mg: 0 } },
    doubles: ["rest = 1 - rho"],
    dense: [
      "rms = rms * rho + (g * g) * rest",
      ...centered ? ["mg = mg * rho + g * rest"] : [],
      `d = ${centered ? "rms - (mg * mg + epsilon)" : "rms + epsilon"}`,
      "momentum = momentum * mu + (g * learning_rate) / sqrt(d)",
      "w = w - momentum",
    ],
  }),
});
