/**
 * PyTorch's RMSprop: divides by the root of a running average of squared gradients.
 *
 * Rule: `v ← αv + (1−α)d²; D = √v + ε; w ← w − η·d/D`; with momentum `b ← μb + d/D; w ← w − η·b`; centered takes
 * `√(v − q²)` for q averaging d.
 *
 * Sources: Hinton, Tieleman 2012; Graves 2013 (centered, momentum); `torch/optim/rmsprop.py`.
 * Variant: ε is outside the root, and the rate outside the momentum, where Keras with momentum has both inside. The
 * centered `v − q²` may fall below 0. Sparse gradients change only their own rows.
 */
import { withoutMomentum } from "../member/base.ts";
import { flag, number } from "../../mechanism/fields.ts";
import { direction, eps, torch, weightDecay } from "./torch_constructor.ts";

export const rmsprop = torch({
  class_name: "RMSprop",
  summary: "Per-element rates from a running average of squared gradients.",
  description:
    "Hinton, Tieleman 2012; Graves 2013. PyTorch's: epsilon beside the root, the rate outside the momentum.",
  lr: 0.01,
  fields: {
    alpha: number(0.99, "How much of the averages stays.", { minimum: 0 }),
    eps: eps(1e-8),
    weight_decay: weightDecay(),
    momentum: number(0, "How much of the last steps stays.", { minimum: 0 }),
    centered: flag(false, "Subtract the squared average gradient: an estimate of the variance."),
  },
  symbols: { momentum: "mu" },
  variants: [
    {},
    { weight_decay: 0.1 },
    { centered: true },
    { centered: true, weight_decay: 0.1 },
    { momentum: 0.9 },
    { momentum: 0.9, weight_decay: 0.1 },
    { momentum: 0.9, centered: true },
    { momentum: 0.9, centered: true, weight_decay: 0.1 },
  ],
  idle: withoutMomentum,
  rule: (constructed, { weight_decay, centered }) => ({
    slots: {
      square_avg: 0,
      ...constructed.momentum > 0 && { momentum_buffer: 0 },
      ...centered && { grad_avg: 0 },
    },
    doubles: ["rest = 1 - alpha"],
    dense: [
      direction(weight_decay),
      "square_avg = square_avg * alpha + (rest * d) * d",
      ...centered ? ["grad_avg = grad_avg + rest * (d - grad_avg)"] : [],
      `denom = sqrt(${centered ? "square_avg - grad_avg * grad_avg" : "square_avg"}) + eps`,
      ...constructed.momentum > 0
        ? ["momentum_buffer = momentum_buffer * mu + d / denom", "w = w - learning_rate * momentum_buffer"]
        : ["w = w - (learning_rate * d) / denom"],
    ],
  }),
});
