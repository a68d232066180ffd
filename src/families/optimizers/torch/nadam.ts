/**
 * PyTorch's NAdam: Adam with Nesterov momentum, whose decay follows its own schedule.
 *
 * Rule: `μ = β₁(1 − ½·0.96^(Tψ))`, μ' the same for T+1; `P ← P·μ`; m and v as in Adam;
 * `w ← w − (η(1−μ)/(1−P))·d/D; w ← w − (ημ'/(1−Pμ'))·m/D`, `D = √(v/(1−β₂ᵀ)) + ε`.
 *
 * Sources: Dozat 2016, "Incorporating Nesterov momentum into Adam"; `torch/optim/nadam.py`.
 * Variant: ψ is momentum_decay. P, the product of all μ so far, is one number of the run; PyTorch keeps one for each
 * parameter. Sparse gradients change only their own rows.
 */
import { number } from "../../mechanism/fields.ts";
import { BETAS, betas, decoupled, direction, eps, torch, weightDecay } from "./torch_constructor.ts";

export const nadam = torch({
  class_name: "NAdam",
  summary: "Adam with Nesterov momentum on a schedule.",
  description: "Dozat 2016. PyTorch's: epsilon beside the bias-corrected root, momentum_decay 0.004.",
  lr: 0.002,
  fields: {
    betas: betas(),
    eps: eps(1e-8),
    weight_decay: weightDecay(),
    momentum_decay: number(0.004, "How fast the momentum schedule warms up.", { minimum: 0 }),
    decoupled_weight_decay: decoupled(),
  },
  symbols: BETAS,
  variants: [{}, { weight_decay: 0.1 }, { weight_decay: 0.1, decoupled_weight_decay: true }],
  rule: (_constructed, { weight_decay, decoupled_weight_decay }) => {
    const decays = decoupled_weight_decay && weight_decay > 0;
    return {
      slots: { exp_avg: 0, exp_avg_sq: 0 },
      state: { mu_product: 1 },
      doubles: [
        "rest_1 = 1 - beta_1",
        "rest_2 = 1 - beta_2",
        "bias_2 = 1 - beta_2 ^ T",
        "mu = beta_1 * (1 - 0.5 * 0.96 ^ (T * momentum_decay))",
        "mu_next = beta_1 * (1 - 0.5 * 0.96 ^ ((T + 1) * momentum_decay))",
        "rate_g = learning_rate * (1 - mu)",
        "rate_m = learning_rate * mu_next",
        ...decays ? ["keep = 1 - learning_rate * weight_decay"] : [],
      ],
      scalars: [
        "mu_product = mu_product * mu",
        "step_g = rate_g / (1 - mu_product)",
        "step_m = rate_m / (1 - mu_product * mu_next)",
      ],
      dense: [
        ...decays ? ["w = w * keep"] : [],
        direction(decoupled_weight_decay ? 0 : weight_decay),
        "exp_avg = exp_avg + rest_1 * (d - exp_avg)",
        "exp_avg_sq = exp_avg_sq * beta_2 + (rest_2 * d) * d",
        "denom = sqrt(exp_avg_sq / bias_2) + eps",
        "w = w - (step_g * d) / denom",
        "w = w - (step_m * exp_avg) / denom",
      ],
    };
  },
});
