/**
 * optax's amsgrad: Adam that divides by the greatest second moment so far.
 *
 * Rule: `m ← (1−b₁)g + b₁m; v ← (1−b₂)g² + b₂v; V ← max(V, v̂); w ← w − η·m̂ / (√(V + ε_root) + ε)`.
 *
 * Sources: Reddi, Kale, Kumar 2018; optax 0.2.8, `amsgrad`.
 * Variant: the maximum is of the corrected moment, where Keras and PyTorch take that of the raw one. Both moments are
 * corrected, which is optax' default.
 */
import { b1b2, BIASES, eps, epsRoot, move, MU, NU, optax, RESTS } from "./optax_constructor.ts";

export const amsgrad = optax({
  class_name: "amsgrad",
  summary: "Adam that divides by the greatest second moment so far.",
  description: "Reddi et al. 2018. optax's: the greatest bias-corrected moment, epsilon beside its root.",
  fields: { ...b1b2(), eps: eps(1e-8), eps_root: epsRoot() },
  variants: [{}],
  rule: () => ({
    slots: { mu: 0, nu: 0, nu_max: 0 },
    doubles: RESTS,
    scalars: BIASES,
    dense: [
      MU,
      NU,
      "nu_max = max(nu_max, nu / bias_2)",
      "u = (mu / bias_1) / (sqrt(nu_max + eps_root) + eps)",
      ...move(),
    ],
  }),
});
