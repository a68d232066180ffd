/**
 * optax's adamw: Adam with weight decay in the step, after the moments.
 *
 * Rule: `m ← (1−b₁)g + b₁m; v ← (1−b₂)g² + b₂v; u = m̂ / (√(v̂ + ε_root) + ε) + λw; w ← w − η·u`, m̂ and v̂ corrected.
 * Nesterov (nadamw.ts) takes `b₁·m/(1−b₁^(T+1)) + (1−b₁)·g/(1−b₁ᵀ)` for m̂.
 *
 * Sources: Loshchilov, Hutter 2019; Dozat 2016; optax 0.2.8, `adamw`.
 * Variant: the decay uses the variable before the step, and the default is 0.0001.
 */
import { flag } from "../../mechanism/fields.ts";
import type { Rule } from "../member/optimizer_member.ts";
import { b1b2, BIASES, eps, epsRoot, move, MU, NU, optax, RESTS, weightDecay } from "./optax_constructor.ts";

export const adamw = optax({
  class_name: "adamw",
  summary: "Adam with decoupled weight decay.",
  description:
    "Loshchilov, Hutter 2019. optax's: epsilon beside the bias-corrected root, eps_root inside it.",
  fields: {
    ...b1b2(),
    eps: eps(1e-8),
    eps_root: epsRoot(),
    weight_decay: weightDecay(1e-4),
    nesterov: flag(false, "Look ahead along the first moment."),
  },
  variants: [{}, { nesterov: true }, { weight_decay: 0 }, { weight_decay: 0, nesterov: true }],
  rule: (_constructed, { nesterov, weight_decay }) => adamRule({ nesterov, weight_decay }),
});

/** The lines of adamw and nadamw. */
export function adamRule(
  { nesterov, weight_decay }: { nesterov: boolean; weight_decay: number },
): Rule {
  return {
    slots: { mu: 0, nu: 0 },
    doubles: RESTS,
    scalars: [...BIASES, ...nesterov ? ["bias_next = 1 - b1 ^ (T + 1)"] : []],
    dense: [
      MU,
      NU,
      `first = ${nesterov ? "b1 * (mu / bias_next) + rest_1 * (g / bias_1)" : "mu / bias_1"}`,
      "u = first / (sqrt(nu / bias_2 + eps_root) + eps)",
      ...move(weight_decay),
    ],
  };
}
