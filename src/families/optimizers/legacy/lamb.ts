/**
 * LAMB: Adam with each variable's step scaled to the norm of the variable.
 *
 * Rule: `m, v` as in Adam; `u = (m/(1−β₁ᵀ)) / (√(v/(1−β₂ᵀ)) + ε) + λ·w; w ← w − (η · ‖w‖/‖u‖) · u`.
 *
 * Source: You et al. 2020, "Large batch optimization for deep learning: training BERT in 76 minutes", algorithm 2
 * with φ the identity.
 * Variant: the paper's: weight decay (default 0) is part of u and so of the ratio (Keras 3's is decoupled). The ratio
 * is 1 where either norm is 0. Sparse gradients decay and move every row, since the norms are those of the whole
 * variable.
 */
import { number } from "../../mechanism/fields.ts";
import { optimizer } from "../member/base.ts";

export const lamb = optimizer({
  class_name: "Lamb",
  summary: "Adam with a trust ratio for each variable, for large batches.",
  description: "You et al. 2020. Weight decay is part of the scaled step; none by default.",
  learningRate: 0.001,
  fields: {
    beta_1: number(0.9, "How much of the first moment stays."),
    beta_2: number(0.999, "How much of the second moment stays."),
    epsilon: number(1e-7, "A small constant against division by zero.", { minimum: 0 }),
    weight_decay: number(0, "How much of the variable is added to the step before it is scaled.", {
      minimum: 0,
    }),
  },
  hyper: ["beta_1", "beta_2", "weight_decay"],
  variants: [{}, { weight_decay: 0.1 }],
  rule: (_constructed, { weight_decay }) => {
    const move = [
      "u = (m / bias_1) / (sqrt(v / bias_2) + epsilon)",
      ...weight_decay > 0 ? ["u = u + weight_decay * w"] : [],
      "size = norm(w)",
      "step = norm(u)",
      "ratio = where(size > 0, where(step > 0, size / step, 1), 1)",
      "w = w - (learning_rate * ratio) * u",
    ];
    return {
      slots: { m: 0, v: 0 },
      scalars: ["bias_1 = 1 - beta_1 ^ T", "bias_2 = 1 - beta_2 ^ T"],
      dense: ["m = m + (g - m) * (1 - beta_1)", "v = v + (g * g - v) * (1 - beta_2)", ...move],
      sparse: {
        all: ["m = m * beta_1", "v = v * beta_2"],
        rows: ["m = m + g * (1 - beta_1)", "v = v + (g * g) * (1 - beta_2)"],
        after: move,
      },
    };
  },
});
