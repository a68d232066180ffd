/**
 * optax's novograd: one second moment for each variable, from the norm of its gradient.
 *
 * Rule: `v ← (1−b₂)‖g‖² + b₂v` (the first v is ‖g‖²); `m ← b₁m + g/(√(v + ε_root) + ε) + λw; w ← w − η·m`.
 *
 * Sources: Ginsburg et al. 2019; optax 0.2.8, `novograd`.
 * Variant: b₂ is 0.25 by default. The slot of v holds it in every element. A variable whose first gradient comes after
 * the run's first step starts from 0.
 */
import { b1b2, eps, epsRoot, optax, weightDecay } from "./optax_constructor.ts";

export const novograd = optax({
  class_name: "novograd",
  summary: "Momentum of gradients that are divided by their norm.",
  description: "Ginsburg et al. 2019. optax's: b2 0.25 by default, epsilon beside the root of a norm.",
  fields: { ...b1b2(0.9, 0.25), eps: eps(1e-6), eps_root: epsRoot(), weight_decay: weightDecay(0) },
  variants: [{}, { weight_decay: 0.1 }],
  rule: (_constructed, { weight_decay }) => ({
    slots: { mu: 0, nu: 0 },
    doubles: ["rest_2 = 1 - b2"],
    dense: [
      "length = squares(g)",
      "nu = where(t > 0, rest_2 * length + b2 * nu, length)",
      "u = g / (sqrt(nu + eps_root) + eps)",
      ...weight_decay > 0 ? ["u = u + weight_decay * w"] : [],
      "mu = b1 * mu + u",
      "w = w - learning_rate * mu",
    ],
  }),
});
