/**
 * PyTorch's Adagrad: per-element rates from the sum of squared gradients.
 *
 * Rule: `s ← s + d²; w ← w − (η/(1 + tλ)) · d/(√s + ε)`, λ the decay of the rate.
 *
 * Sources: Duchi, Hazan, Singer 2011; `torch/optim/adagrad.py`.
 * Variant: ε is outside the root, and small. state_dict calls the slot `sum`, which is a function here. A sparse
 * gradient changes only its own rows, which is what a dense one with zeros elsewhere does without weight decay; with
 * it, PyTorch refuses sparse gradients.
 */
import { number } from "../../mechanism/fields.ts";
import { direction, eps, torch, weightDecay } from "./torch_constructor.ts";

export const adagrad = torch({
  class_name: "Adagrad",
  summary: "Per-element rates from the sum of squared gradients.",
  description: "Duchi et al. 2011. PyTorch's: epsilon beside the root, a decay of its own.",
  lr: 0.01,
  fields: {
    lr_decay: number(0, "Divides the learning rate of step t by 1 + lr_decay · t.", { minimum: 0 }),
    weight_decay: weightDecay(),
    initial_accumulator_value: number(0, "What the sum starts from.", { minimum: 0 }),
    eps: eps(1e-10),
  },
  variants: [{}, { weight_decay: 0.1 }],
  rule: ({ initial_accumulator_value }, { weight_decay }) => ({
    slots: { state_sum: initial_accumulator_value },
    doubles: ["rate = learning_rate / (1 + t * lr_decay)"],
    dense: [
      direction(weight_decay),
      "state_sum = state_sum + d * d",
      "w = w - (rate * d) / (sqrt(state_sum) + eps)",
    ],
  }),
});
