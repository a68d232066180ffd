/**
 * PyTorch's stochastic gradient descent, optionally with momentum.
 *
 * Rule: `w ← w − η·d`; with momentum `b ← μ·b + (1−τ)·d` (the first b is d) and `w ← w − η·b`; Nesterov
 * `w ← w − η·(d + μ·b)`; `d` the gradient with weight decay.
 *
 * Sources: Sutskever, Martens, Dahl, Hinton 2013; `torch/optim/sgd.py`.
 * Variant: the learning rate is outside the velocity, so that a changed rate acts on all of it at once; Keras folds it
 * in. With dampening the run's first step sets b to d; PyTorch does so at each parameter's first gradient. A sparse
 * gradient without weight decay is a dense one with zeros elsewhere: with momentum every row moves. With weight decay,
 * which PyTorch refuses then, it changes only its own rows.
 */
import type { Rule } from "../member/optimizer_member.ts";
import { flag, number } from "../../mechanism/fields.ts";
import type { Config, Problem } from "../../mechanism/family.ts";
import { direction, torch, weightDecay } from "./torch_constructor.ts";

export const sgd = torch({
  class_name: "SGD",
  summary: "Gradient descent, optionally with momentum.",
  description: "Sutskever et al. 2013. PyTorch's: the learning rate is outside the velocity.",
  lr: 0.001,
  fields: {
    momentum: number(0, "How much of the velocity stays.", { minimum: 0 }),
    dampening: number(0, "How much of the gradient does not enter the velocity."),
    weight_decay: weightDecay(),
    nesterov: flag(false, "Look ahead along the velocity; needs momentum and no dampening."),
  },
  symbols: { momentum: "mu" },
  variants: [
    {},
    { weight_decay: 0.1 },
    { momentum: 0.9 },
    { momentum: 0.9, weight_decay: 0.1 },
    { momentum: 0.9, dampening: 0.5 },
    { momentum: 0.9, dampening: 0.5, weight_decay: 0.1 },
    { momentum: 0.9, nesterov: true },
    { momentum: 0.9, nesterov: true, weight_decay: 0.1 },
  ],
  check: nesterovAlone,
  rule: (_constructed, current) =>
    current.momentum > 0 ? withMomentum(current) : {
      slots: {},
      dense: [direction(current.weight_decay), "w = w - learning_rate * d"],
    },
});

function nesterovAlone({ nesterov, momentum = 0, dampening = 0 }: Config): Problem[] {
  if (nesterov !== true || (Number(momentum) > 0 && dampening === 0)) return [];
  return [{
    key: "nesterov",
    message:
      `is true with momentum ${momentum} and dampening ${dampening}, must have momentum and no dampening`,
  }];
}

function withMomentum(
  { dampening, weight_decay, nesterov }: { dampening: number; weight_decay: number; nesterov: boolean },
): Rule {
  const damped = dampening !== 0;
  const d = direction(weight_decay);
  const sparse = {
    all: ["momentum_buffer = momentum_buffer * mu"],
    rows: [
      d,
      `momentum_buffer = momentum_buffer + ${damped ? "where(t > 0, d * rest, d)" : "d"}`,
      ...nesterov ? ["w = w - learning_rate * d"] : [],
    ],
    after: [
      nesterov ? "w = w - learning_rate * (mu * momentum_buffer)" : "w = w - learning_rate * momentum_buffer",
    ],
  };
  return {
    slots: { momentum_buffer: 0 },
    doubles: damped ? ["rest = 1 - dampening"] : [],
    dense: [
      d,
      damped
        ? "momentum_buffer = where(t > 0, momentum_buffer * mu + d * rest, d)"
        : "momentum_buffer = momentum_buffer * mu + d",
      `w = w - learning_rate * ${nesterov ? "(d + mu * momentum_buffer)" : "momentum_buffer"}`,
    ],
    ...weight_decay > 0 ? {} : { sparse },
  };
}
