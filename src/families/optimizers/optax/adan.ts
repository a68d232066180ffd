/**
 * optax's adan: Adam with momentum of the gradient's changes.
 *
 * Rule: `d = g − g₋₁` (first 0); `m ← (1−b₁)g + b₁m; v ← (1−b₂)d + b₂v; n ← (1−b₃)(g + (1−b₂)d)² + b₃n`;
 * `u = (m̂ + (1−b₂)v̂) / (√(n̂ + ε_root) + ε) + λw; w ← w − η·u`, all three corrected.
 *
 * Sources: Xie et al. 2022, "Adan: adaptive Nesterov momentum algorithm"; optax 0.2.8, `adan`.
 * Variant: all moments are corrected for bias, and the betas weight the old value. optax calls the slot of the last
 * gradient g.
 */
import { number } from "../../mechanism/fields.ts";
import { b1b2, eps, epsRoot, move, optax, weightDecay } from "./optax_constructor.ts";

export const adan = optax({
  class_name: "adan",
  summary: "Adam with momentum of the gradient's changes.",
  description: "Xie et al. 2022. optax's: bias correction of all moments, epsilon beside the corrected root.",
  fields: {
    ...b1b2(0.98, 0.92),
    b3: number(0.99, "How much of the third moment stays."),
    eps: eps(1e-8),
    eps_root: epsRoot(1e-8),
    weight_decay: weightDecay(0),
  },
  variants: [{}, { weight_decay: 0.1 }],
  rule: (_constructed, { weight_decay }) => ({
    slots: { m: 0, v: 0, n: 0, previous: 0 },
    doubles: ["rest_1 = 1 - b1", "rest_2 = 1 - b2", "rest_3 = 1 - b3"],
    scalars: ["bias_1 = 1 - b1 ^ T", "bias_2 = 1 - b2 ^ T", "bias_3 = 1 - b3 ^ T"],
    dense: [
      "change = where(t > 0, g - previous, 0)",
      "m = rest_1 * g + b1 * m",
      "v = rest_2 * change + b2 * v",
      "ahead = g + rest_2 * change",
      "n = rest_3 * (ahead * ahead) + b3 * n",
      "previous = g",
      "u = (m / bias_1 + rest_2 * (v / bias_2)) / (sqrt(n / bias_3 + eps_root) + eps)",
      ...move(weight_decay),
    ],
  }),
});
