/**
 * PyTorch's Adamax: Adam with the infinity norm.
 *
 * Rule: `m ← m + (1−β₁)(d−m); u ← max(β₂u, |d| + ε); w ← w − (η/(1−β₁ᵀ)) · m/u`.
 *
 * Sources: Kingma, Ba 2015, section 7.1; `torch/optim/adamax.py`.
 * Variant: ε is added to the gradient's magnitude, where Keras adds it to u. Sparse gradients change only their own
 * rows.
 */
import { BETAS, betas, direction, eps, torch, weightDecay } from "./torch_constructor.ts";

export const adamax = torch({
  class_name: "Adamax",
  summary: "Adam with the infinity norm.",
  description: "Kingma, Ba 2015, section 7.1. PyTorch's: epsilon beside the gradient's magnitude.",
  lr: 0.002,
  fields: { betas: betas(), eps: eps(1e-8), weight_decay: weightDecay() },
  symbols: BETAS,
  variants: [{}, { weight_decay: 0.1 }],
  rule: (_constructed, { weight_decay }) => ({
    slots: { exp_avg: 0, exp_inf: 0 },
    doubles: ["rest_1 = 1 - beta_1", "step_size = learning_rate / (1 - beta_1 ^ T)"],
    dense: [
      direction(weight_decay),
      "exp_avg = exp_avg + rest_1 * (d - exp_avg)",
      "exp_inf = max(exp_inf * beta_2, abs(d) + eps)",
      "w = w - (step_size * exp_avg) / exp_inf",
    ],
  }),
});
