/**
 * optax's lamb: Adam with each variable's step scaled to the norm of the variable.
 *
 * Rule: `u = m̂ / (√(v̂ + ε_root) + ε) + λw; w ← w − η·(‖w‖/‖u‖)·u`; the ratio is 1 where either norm is 0.
 *
 * Sources: You et al. 2020, algorithm 2; optax 0.2.8, `lamb`.
 * Variant: the paper's: weight decay is part of the scaled step.
 */
import { b1b2, BIASES, eps, epsRoot, MU, NU, optax, RESTS, weightDecay } from "./optax_constructor.ts";

export const lamb = optax({
  class_name: "lamb",
  summary: "Adam with a trust ratio for each variable, for large batches.",
  description:
    "You et al. 2020. optax's: weight decay is in the scaled step, epsilon beside the corrected root.",
  fields: { ...b1b2(), eps: eps(1e-6), eps_root: epsRoot(), weight_decay: weightDecay(0) },
  variants: [{}, { weight_decay: 0.1 }],
  rule: (_constructed, { weight_decay }) => ({
    slots: { mu: 0, nu: 0 },
    doubles: RESTS,
    scalars: BIASES,
    dense: [
      MU,
      NU,
      "u = (mu / bias_1) / (sqrt(nu / bias_2 + eps_root) + eps)",
      ...weight_decay > 0 ? ["u = u + weight_decay * w"] : [],
      "size = norm(w)",
      "length = norm(u)",
      "ratio = where(size > 0, where(length > 0, size / length, 1), 1)",
      "w = w - learning_rate * (u * ratio)",
    ],
  }),
});
