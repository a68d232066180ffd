/**
 * optax's yogi: Adam with additive changes of the second moment.
 *
 * Rule: `m ← (1−b₁)g + b₁m; v ← v − (1−b₂)·sign(v − g²)·g²; w ← w − η·m̂ / (√v̂ + ε)`, m̂ and v̂ corrected.
 *
 * Sources: Zaheer et al. 2018, "Adaptive methods for nonconvex optimization"; optax 0.2.8, `yogi`.
 * Variant: both moments start at 1e-6 and are corrected for bias, which the paper's are not.
 */
import { b1b2, BIASES, eps, move, MU, optax, RESTS } from "./optax_constructor.ts";

export const yogi = optax({
  class_name: "yogi",
  summary: "Adam with additive changes of the second moment.",
  description: "Zaheer et al. 2018. optax's: bias correction of both moments, which start at 1e-6.",
  fields: { ...b1b2(), eps: eps(1e-3) },
  variants: [{}],
  rule: () => ({
    slots: { mu: 1e-6, nu: 1e-6 },
    doubles: RESTS,
    scalars: BIASES,
    dense: [
      MU,
      "nu = nu - (rest_2 * sign(nu - g * g)) * (g * g)",
      "u = (mu / bias_1) / (sqrt(nu / bias_2) + eps)",
      ...move(),
    ],
  }),
});
