/**
 * AdamW: Adam with weight decay that does not pass through the moments.
 *
 * Rule: `w ← w − (w·λ)·η`, then Adam: `m ← m + (g−m)(1−β₁); v ← v + (g²−v)(1−β₂); w ← w − m·α / (√v + ε)`.
 *
 * Source: Loshchilov, Hutter 2019, "Decoupled weight decay regularization", algorithm 2 with the schedule
 * multiplier folded into η.
 * Variant: Keras 3's: the decay comes first and is multiplied by the learning rate of the step; ε is outside the root
 * and not bias-corrected. Sparse gradients decay and move every row, as in Adam here.
 */
import { flag, number } from "../../mechanism/fields.ts";
import { optimizer } from "../member/base.ts";

export const adamw = optimizer({
  class_name: "AdamW",
  summary: "Adam with decoupled weight decay.",
  description:
    "Loshchilov, Hutter 2019. Keras 3's variant: the decay first, times the learning rate of the step.",
  learningRate: 0.001,
  fields: {
    weight_decay: number(0.004, "What part of the variable a rate of 1 would take away.", { minimum: 0 }),
    beta_1: number(0.9, "How much of the first moment stays."),
    beta_2: number(0.999, "How much of the second moment stays."),
    epsilon: number(1e-7, "A small constant against division by zero.", { minimum: 0 }),
    amsgrad: flag(false, "Divide by the greatest second moment so far."),
  },
  hyper: ["weight_decay", "beta_1", "beta_2"],
  variants: [{}, { amsgrad: true }],
  rule: (_constructed, { amsgrad }) => {
    const decay = "w = w - (w * weight_decay) * learning_rate";
    const greatest = amsgrad ? ["vhat = max(vhat, v)"] : [];
    const move = `w = w - (m * alpha) / (sqrt(${amsgrad ? "vhat" : "v"}) + epsilon)`;
    return {
      slots: amsgrad ? { m: 0, v: 0, vhat: 0 } : { m: 0, v: 0 },
      scalars: ["alpha = (learning_rate * sqrt(1 - beta_2 ^ T)) / (1 - beta_1 ^ T)"],
      dense: [
        decay,
        "m = m + (g - m) * (1 - beta_1)",
        "v = v + (g * g - v) * (1 - beta_2)",
        ...greatest,
        move,
      ],
      sparse: {
        all: [decay, "m = m * beta_1", "v = v * beta_2"],
        rows: ["m = m + g * (1 - beta_1)", "v = v + (g * g) * (1 - beta_2)"],
        after: [...greatest, move],
      },
    };
  },
});
