/**
 * optax's adabelief: divides by how far the gradient is from its expected value.
 *
 * Rule: `m ← (1−b₁)g + b₁m; s ← (1−b₂)(g−m)² + b₂s + ε_root; w ← w − η·m̂ / (√ŝ + ε)`, m̂ and ŝ corrected.
 *
 * Sources: Zhuang et al. 2020, algorithm 2; optax 0.2.8, `adabelief`.
 * Variant: ε_root is added to s in every step and stays in it. optax' `nesterov` is left out.
 */
import { b1b2, BIASES, eps, epsRoot, move, MU, optax, RESTS } from "./optax_constructor.ts";

export const adabelief = optax({
  class_name: "adabelief",
  summary: "Adam that divides by the gradient's distance from its expected value.",
  description:
    "Zhuang et al. 2020. optax's: eps_root is added to the moment, epsilon beside its corrected root.",
  fields: { ...b1b2(), eps: eps(1e-16), eps_root: epsRoot(1e-16) },
  variants: [{}],
  rule: () => ({
    slots: { mu: 0, nu: 0 },
    doubles: RESTS,
    scalars: BIASES,
    dense: [
      MU,
      "apart = g - mu",
      "nu = (rest_2 * (apart * apart) + b2 * nu) + eps_root",
      "u = (mu / bias_1) / (sqrt(nu / bias_2) + eps)",
      ...move(),
    ],
  }),
});
