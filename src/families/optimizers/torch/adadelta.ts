/**
 * PyTorch's Adadelta: steps in the units of the variable, without a learning rate of its own.
 *
 * Rule: `v ← ρv + (1−ρ)d²; u = √(D+ε)/√(v+ε)·d; D ← ρD + (1−ρ)u²; w ← w − η·u`.
 *
 * Sources: Zeiler 2012, "ADADELTA: an adaptive learning rate method"; `torch/optim/adadelta.py`.
 * Variant: ε is inside both roots, as in Keras; the rate is 1 by default. Sparse gradients change only their own rows.
 */
import { number } from "../../mechanism/fields.ts";
import { direction, eps, torch, weightDecay } from "./torch_constructor.ts";

export const adadelta = torch({
  class_name: "Adadelta",
  summary: "Steps in the units of the variable.",
  description: "Zeiler 2012. PyTorch's: epsilon inside both roots, a rate of 1.",
  lr: 1,
  fields: {
    rho: number(0.9, "How much of the averages stays.", { minimum: 0, maximum: 1 }),
    eps: eps(1e-6),
    weight_decay: weightDecay(),
  },
  variants: [{}, { weight_decay: 0.1 }],
  rule: (_constructed, { weight_decay }) => ({
    slots: { square_avg: 0, acc_delta: 0 },
    doubles: ["rest = 1 - rho"],
    dense: [
      direction(weight_decay),
      "square_avg = square_avg * rho + (rest * d) * d",
      "u = (sqrt(acc_delta + eps) / sqrt(square_avg + eps)) * d",
      "acc_delta = acc_delta * rho + (rest * u) * u",
      "w = w - learning_rate * u",
    ],
  }),
});
