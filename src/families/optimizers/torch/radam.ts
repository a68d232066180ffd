/**
 * PyTorch's RAdam: Adam that is plain momentum while its second moment is from too few steps.
 *
 * Rule: m and v as in Adam; `u = m/(1−β₁ᵀ)`; `ρ∞ = 2/(1−β₂) − 1; ρ = ρ∞ − 2Tβ₂ᵀ/(1−β₂ᵀ)`; if ρ > 5
 * `w ← w − η·u·√(1−β₂ᵀ)/(√v + ε)·r`, `r = √((ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ))`, else `w ← w − η·u`.
 *
 * Sources: Liu et al. 2020, "On the variance of the adaptive learning rate and beyond"; `torch/optim/radam.py`.
 * Variant: the threshold is 5, where the paper has 4; ε is added to the raw root. Sparse gradients change only their
 * own rows.
 */
import { BETAS, betas, decoupled, direction, eps, torch, weightDecay } from "./torch_constructor.ts";

export const radam = torch({
  class_name: "RAdam",
  summary: "Adam that warms up by itself.",
  description: "Liu et al. 2020. PyTorch's: the threshold is 5, epsilon beside the raw root.",
  lr: 0.001,
  fields: {
    betas: betas(),
    eps: eps(1e-8),
    weight_decay: weightDecay(),
    decoupled_weight_decay: decoupled(),
  },
  symbols: BETAS,
  variants: [{}, { weight_decay: 0.1 }, { weight_decay: 0.1, decoupled_weight_decay: true }],
  rule: (_constructed, { weight_decay, decoupled_weight_decay }) => {
    const decays = decoupled_weight_decay && weight_decay > 0;
    return {
      slots: { exp_avg: 0, exp_avg_sq: 0 },
      doubles: [
        "rest_1 = 1 - beta_1",
        "rest_2 = 1 - beta_2",
        "bias_1 = 1 - beta_1 ^ T",
        "power_2 = beta_2 ^ T",
        "root = sqrt(1 - power_2)",
        "longest = 2 / (1 - beta_2) - 1",
        "length = longest - 2 * T * power_2 / (1 - power_2)",
        "ratio = ((length - 4) * (length - 2) * longest) / ((longest - 4) * (longest - 2) * length)",
        "rectifies = where(length > 5, 1, 0)",
        "rectified = where(length > 5, sqrt(ratio), 0)",
        ...decays ? ["keep = 1 - learning_rate * weight_decay"] : [],
      ],
      dense: [
        ...decays ? ["w = w * keep"] : [],
        direction(decoupled_weight_decay ? 0 : weight_decay),
        "exp_avg = exp_avg + rest_1 * (d - exp_avg)",
        "exp_avg_sq = exp_avg_sq * beta_2 + (rest_2 * d) * d",
        "u = (exp_avg / bias_1) * learning_rate",
        "w = w - where(rectifies > 0, (u * (root / (sqrt(exp_avg_sq) + eps))) * rectified, u)",
      ],
    };
  },
});
