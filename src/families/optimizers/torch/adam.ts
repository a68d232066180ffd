/**
 * PyTorch's Adam: adaptive estimates of the first and second moment of the gradient.
 *
 * Rule: `m ← m + (1−β₁)(d−m); v ← β₂v + (1−β₂)d²; w ← w − (η/(1−β₁ᵀ)) · m / (√v/√(1−β₂ᵀ) + ε)`, `d` the gradient
 * with weight decay.
 *
 * Sources: Kingma, Ba 2015; Reddi, Kale, Kumar 2018 (amsgrad); `torch/optim/adam.py`.
 * Variant: ε is added to the bias-corrected root, where legacy Keras adds it to the raw one; amsgrad takes the maximum
 * of the raw v. Sparse gradients change only their own rows, as torch.optim.SparseAdam's do.
 */
import type { Rule } from "../member/optimizer_member.ts";
import { flag } from "../../mechanism/fields.ts";
import { BETAS, betas, decoupled, direction, eps, torch, weightDecay } from "./torch_constructor.ts";

export const adam = torch({
  class_name: "Adam",
  summary: "Adaptive moment estimation, optionally AMSGrad.",
  description:
    "Kingma, Ba 2015; Reddi et al. 2018 (amsgrad). PyTorch's: epsilon beside the bias-corrected root.",
  lr: 0.001,
  fields: {
    betas: betas(),
    eps: eps(1e-8),
    weight_decay: weightDecay(),
    amsgrad: flag(false, "Divide by the greatest second moment so far."),
    decoupled_weight_decay: decoupled(),
  },
  symbols: BETAS,
  variants: [
    {},
    { amsgrad: true },
    { weight_decay: 0.1 },
    { weight_decay: 0.1, amsgrad: true },
    { weight_decay: 0.1, decoupled_weight_decay: true },
    { weight_decay: 0.1, decoupled_weight_decay: true, amsgrad: true },
  ],
  rule: (_constructed, { weight_decay, amsgrad, decoupled_weight_decay }) =>
    adamRule(weight_decay, { amsgrad, isDecoupled: decoupled_weight_decay }),
});

/** The lines of Adam, and of AdamW with decoupled weight decay. */
export function adamRule(
  weight_decay: number,
  { amsgrad, isDecoupled }: { amsgrad: boolean; isDecoupled: boolean },
): Rule {
  const decays = isDecoupled && weight_decay > 0;
  const greatest = amsgrad ? "max_exp_avg_sq" : "exp_avg_sq";
  return {
    slots: { exp_avg: 0, exp_avg_sq: 0, ...amsgrad && { max_exp_avg_sq: 0 } },
    doubles: [
      "rest_1 = 1 - beta_1",
      "rest_2 = 1 - beta_2",
      "step_size = learning_rate / (1 - beta_1 ^ T)",
      "root = sqrt(1 - beta_2 ^ T)",
      ...decays ? ["keep = 1 - learning_rate * weight_decay"] : [],
    ],
    dense: [
      ...decays ? ["w = w * keep"] : [],
      direction(isDecoupled ? 0 : weight_decay),
      "exp_avg = exp_avg + rest_1 * (d - exp_avg)",
      "exp_avg_sq = exp_avg_sq * beta_2 + (rest_2 * d) * d",
      ...amsgrad ? ["max_exp_avg_sq = max(max_exp_avg_sq, exp_avg_sq)"] : [],
      `w = w - (step_size * exp_avg) / (sqrt(${greatest}) / root + eps)`,
    ],
  };
}
