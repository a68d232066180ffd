/**
 * RMSprop: divides by the root of a running average of squared gradients.
 *
 * Rule without momentum: `r ← ρ·r + (1−ρ)g²; w ← w − (η·g) / (√r + ε)`; with momentum
 * `r ← r + (g²−r)(1−ρ); a ← a·μ + (g·η)/√(r+ε); w ← w − a`; centered takes `r − q²` for r, q averaging g.
 *
 * Sources: Hinton, Tieleman 2012, Coursera lecture 6e; Graves 2013, "Generating sequences with recurrent neural
 * networks" (centered, momentum).
 * Variant: Keras' two formulas: ε is outside the root without momentum and inside with it. The centered `r − q²` may
 * fall below 0. Sparse gradients: without momentum r and q decay on every row; with momentum nothing decays, and
 * TensorFlow's rule uses an approximate 1/√, this one the exact one.
 */
import { flag, number } from "../../mechanism/fields.ts";
import type { Rule } from "../member/optimizer_member.ts";
import { withoutMomentum } from "../member/base.ts";
import { epsilon, legacy } from "./legacy_constructor.ts";

export const rmsprop = legacy({
  class_name: "RMSprop",
  summary: "Per-element rates from a running average of squared gradients.",
  description:
    "Hinton, Tieleman 2012; Graves 2013. Epsilon outside the root without momentum, inside with it.",
  learningRate: 0.001,
  fields: {
    rho: number(0.9, "How much of the averages stays."),
    momentum: number(0, "How much of the last step stays; 0 means that there is none.", {
      minimum: 0,
      maximum: 1,
    }),
    epsilon: epsilon(),
    centered: flag(false, "Subtract the squared average gradient: an estimate of the variance."),
  },
  hyper: ["rho", "momentum"],
  symbols: { momentum: "mu" },
  savedByVersion1: "without_iterations",
  variants: [{}, { centered: true }, { momentum: 0.9 }, { momentum: 0.9, centered: true }],
  idle: withoutMomentum,
  rule: ({ momentum }, { centered }) => momentum > 0 ? withMomentum(centered) : plain(centered),
});

function plain(centered: boolean): Rule {
  return {
    slots: centered ? { rms: 0, mg: 0 } : { rms: 0 },
    dense: [
      "rms = (rho * rms) + ((1 - rho) * (g * g))",
      ...centered ? ["mg = (rho * mg) + ((1 - rho) * g)"] : [],
      `w = w - (learning_rate * g) / (sqrt(${centered ? "rms - flush(mg * mg)" : "rms"}) + epsilon)`,
    ],
    sparse: {
      all: ["rms = rms * rho", ...centered ? ["mg = mg * rho"] : []],
      rows: [
        "rms = rms + (g * g) * (1 - rho)",
        ...centered ? ["mg = mg + g * (1 - rho)"] : [],
        `w = w + ((-learning_rate) * g) / (sqrt(${centered ? "rms - flush(mg * mg)" : "rms"}) + epsilon)`,
      ],
    },
  };
}

function withMomentum(centered: boolean): Rule {
  return {
    slots: centered ? { rms: 0, momentum: 0, mg: 0 } : { rms: 0, momentum: 0 },
    dense: [
      "rms = rms + (g * g - rms) * (1 - rho)",
      ...centered ? ["mg = mg + (g - mg) * (1 - rho)"] : [],
      `d = ${centered ? "(rms - mg * mg) + epsilon" : "rms + epsilon"}`,
      "momentum = (momentum * mu) + (g * learning_rate) / sqrt(d)",
      "w = w - momentum",
    ],
    sparse: {
      rows: [
        "rms = (rms * rho) + ((g * g) * (1 - rho))",
        ...centered ? ["mg = (mg * rho) + (g * (1 - rho))"] : [],
        `d = ${centered ? "(rms + epsilon) - mg * mg" : "rms + epsilon"}`,
        "momentum = (momentum * mu) + (((1 / sqrt(d)) * learning_rate) * g)",
        "w = w - momentum",
      ],
    },
  };
}
