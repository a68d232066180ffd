/**
 * PyTorch's ASGD: gradient descent whose rate falls, with an average of the variables beside them.
 *
 * Rule: `η' = η/(1 + ληt)^α; w ← w·(1 − λη') − η'·d`; `a ← w` up to step t₀, then `a ← a + (w−a)/(T−1−t₀)`.
 *
 * Sources: Polyak, Juditsky 1992; `torch/optim/asgd.py`.
 * Variant: the average is the slot `ax`, which no step reads. The rate follows the learning rate of its own step;
 * PyTorch computes it one step ahead. Sparse gradients change only their own rows.
 */
import { number } from "../../mechanism/fields.ts";
import { direction, torch, weightDecay } from "./torch_constructor.ts";

export const asgd = torch({
  class_name: "ASGD",
  summary: "Gradient descent with an average of the variables.",
  description: "Polyak, Juditsky 1992. PyTorch's: a decay of its own, and the average in the slot ax.",
  lr: 0.01,
  fields: {
    lambd: number(0.0001, "How fast the variable and the rate decay."),
    alpha: number(0.75, "The power by which the rate falls."),
    t0: number(1e6, "The step after which the average begins."),
    weight_decay: weightDecay(),
  },
  variants: [{}, { weight_decay: 0.1 }],
  rule: (_constructed, { weight_decay }) => ({
    slots: { ax: 0 },
    doubles: [
      "eta = learning_rate / (1 + lambd * learning_rate * t) ^ alpha",
      "keep = 1 - lambd * eta",
      "mu = 1 / max(1, t - t0)",
    ],
    dense: [
      direction(weight_decay),
      "w = w * keep - eta * d",
      "ax = where(mu == 1, w, ax + (w - ax) * mu)",
    ],
  }),
});
