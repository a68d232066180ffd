/**
 * optax's radam: Adam that is plain momentum while its second moment is from too few steps.
 *
 * Rule: `ρ∞ = 2/(1−b₂) − 1; ρ = ρ∞ − 2T·b₂ᵀ/(1−b₂ᵀ)`; if ρ ≥ threshold `w ← w − η·r·m̂ / (√(v̂ + ε_root) + ε)`,
 * `r = √((ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ))`, else `w ← w − η·m̂`.
 *
 * Sources: Liu et al. 2020, "On the variance of the adaptive learning rate and beyond"; optax 0.2.8, `radam`.
 * Variant: the threshold is 5 by default, where the paper has 4. ρ is computed in float32: 1 − b₂ᵀ has few digits in
 * the first steps. optax' `nesterov` is left out.
 */
import { number } from "../../mechanism/fields.ts";
import { b1b2, BIASES, eps, epsRoot, move, MU, NU, optax, RESTS } from "./optax_constructor.ts";

export const radam = optax({
  class_name: "radam",
  summary: "Adam that warms up by itself.",
  description: "Liu et al. 2020. optax's: the threshold is 5 by default, epsilon beside the corrected root.",
  fields: {
    ...b1b2(),
    eps: eps(1e-8),
    eps_root: epsRoot(),
    threshold: number(5, "From which length of the average on the second moment is used."),
  },
  variants: [{}],
  rule: () => ({
    slots: { mu: 0, nu: 0 },
    doubles: [
      ...RESTS,
      "longest = 2 / (1 - b2) - 1",
      "divisor = (longest - 4) * (longest - 2)",
    ],
    scalars: [
      ...BIASES,
      "power_2 = b2 ^ T",
      "length = longest - ((2 * T) * power_2) / (1 - power_2)",
      "rectified = sqrt((((length - 4) * (length - 2)) * longest) / (divisor * length))",
    ],
    dense: [
      MU,
      NU,
      "first = mu / bias_1",
      "u = where(length >= threshold, (rectified * first) / (sqrt(nu / bias_2 + eps_root) + eps), first)",
      ...move(),
    ],
  }),
});
