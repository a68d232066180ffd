/**
 * optax's nadamw: adamw (adamw.ts) with Nesterov momentum.
 *
 * Rule: that of adamw with `b₁·m/(1−b₁^(T+1)) + (1−b₁)·g/(1−b₁ᵀ)` in place of the corrected first moment.
 *
 * Sources: Dozat 2016; Loshchilov, Hutter 2019; optax 0.2.8, `nadamw`.
 * Variant: b₁ has no schedule, where Keras and PyTorch have 0.96 ^ T.
 */
import { adamRule } from "./adamw.ts";
import { b1b2, eps, epsRoot, optax, weightDecay } from "./optax_constructor.ts";

export const nadamw = optax({
  class_name: "nadamw",
  summary: "AdamW with Nesterov momentum.",
  description: "Dozat 2016. optax's: no schedule of b1, epsilon beside the bias-corrected root.",
  fields: { ...b1b2(), eps: eps(1e-8), eps_root: epsRoot(), weight_decay: weightDecay(1e-4) },
  variants: [{}, { weight_decay: 0 }],
  rule: (_constructed, { weight_decay }) => adamRule({ nesterov: true, weight_decay }),
});
