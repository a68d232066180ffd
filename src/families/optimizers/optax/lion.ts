/**
 * optax's lion: steps of one size, with the sign of an interpolated momentum.
 *
 * Rule: `u = sign((1−b₁)g + b₁m) + λw; m ← (1−b₂)g + b₂m; w ← w − η·u`.
 *
 * Sources: Chen et al. 2023, algorithm 2; optax 0.2.8, `lion`.
 * Variant: weight decay is 0.001 by default.
 */
import { b1b2, move, optax, RESTS, weightDecay } from "./optax_constructor.ts";

export const lion = optax({
  class_name: "lion",
  summary: "Steps along the sign of an interpolated momentum.",
  description: "Chen et al. 2023. optax's: weight decay 0.001 by default.",
  fields: { ...b1b2(0.9, 0.99), weight_decay: weightDecay(1e-3) },
  variants: [{}, { weight_decay: 0 }],
  rule: (_constructed, { weight_decay }) => ({
    slots: { mu: 0 },
    doubles: RESTS,
    dense: ["u = sign(rest_1 * g + b1 * mu)", "mu = rest_2 * g + b2 * mu", ...move(weight_decay)],
  }),
});
