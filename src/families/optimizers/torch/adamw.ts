/**
 * PyTorch's AdamW: Adam with weight decay that does not pass through the moments.
 *
 * Rule: `w ← w·(1 − ηλ)`, then Adam (adam.ts).
 *
 * Sources: Loshchilov, Hutter 2019, "Decoupled weight decay regularization"; `torch/optim/adamw.py`.
 * Variant: the factor 1 − ηλ is computed in float64, where Keras 3 subtracts (w·λ)·η. Sparse gradients change only
 * their own rows.
 */
import { flag } from "../../mechanism/fields.ts";
import { adamRule } from "./adam.ts";
import { BETAS, betas, eps, torch, weightDecay } from "./torch_constructor.ts";

export const adamw = torch({
  class_name: "AdamW",
  summary: "Adam with decoupled weight decay.",
  description: "Loshchilov, Hutter 2019. PyTorch's: the decay first, epsilon beside the bias-corrected root.",
  lr: 0.001,
  fields: {
    betas: betas(),
    eps: eps(1e-8),
    weight_decay: weightDecay(0.01),
    amsgrad: flag(false, "Divide by the greatest second moment so far."),
  },
  symbols: BETAS,
  variants: [{}, { amsgrad: true }, { weight_decay: 0 }, { weight_decay: 0, amsgrad: true }],
  rule: (_constructed, { weight_decay, amsgrad }) => adamRule(weight_decay, { amsgrad, isDecoupled: true }),
});
