/**
 * FTRL-Proximal: follow the (proximally) regularized leader, with L1, L2 and shrinkage.
 *
 * Rule: `N = n + g²; z ← z + s − ((N^p − n^p)/η)·w; w ← (l1·sign(z) − z) / (N^p/η + 2·L2)` where |z| > l1, else 0;
 * `n ← N`, with `p = −learning_rate_power`, `L2 = l2 + beta/(2η)` and `s = g + 2·shrinkage·w`.
 *
 * Source: McMahan et al. 2013, "Ad click prediction: a view from the trenches".
 * Variant: Keras' legacy form. The old `lr` is ignored. n accumulates g², never s². A power of −0.5 is a root, except
 * on sparse rows of one element. w is computed from z alone, so that the first step forgets a variable's initial
 * value. Slots are created variable by variable.
 */
import { number } from "../../mechanism/fields.ts";
import type { Rule } from "../member/optimizer_member.ts";
import { legacy } from "./legacy_constructor.ts";

export const ftrl = legacy({
  class_name: "Ftrl",
  summary: "Follow the regularized leader: sparse models from L1 regularization.",
  description: "McMahan et al. 2013. Keras' legacy form, which ignores lr and forgets the initial values.",
  learningRate: 0.001,
  lr: "ignored",
  fields: {
    initial_accumulator_value: number(0.1, "What the accumulator starts from.", { minimum: 0 }),
    learning_rate_power: number(-0.5, "How the rate falls with the accumulator; 0 keeps it.", { maximum: 0 }),
    l1_regularization_strength: number(0, "L1 regularization.", { minimum: 0 }),
    l2_regularization_strength: number(0, "L2 regularization, which keeps the optimum where it is not 0.", {
      minimum: 0,
    }),
    beta: number(0, "Added to the accumulator's root, as beta in the paper."),
    l2_shrinkage_regularization_strength: number(
      0,
      "L2 regularization of the magnitude, through the gradient.",
      {
        minimum: 0,
      },
    ),
  },
  hyper: ["learning_rate_power", "l1_regularization_strength", "l2_regularization_strength", "beta"],
  fixed: ["initial_accumulator_value", "l2_shrinkage_regularization_strength"],
  symbols: {
    l1_regularization_strength: "l1",
    l2_regularization_strength: "l2",
    l2_shrinkage_regularization_strength: "shrinkage",
  },
  variants: [
    {},
    { learning_rate_power: -0.3 },
    { l2_shrinkage_regularization_strength: 0.05 },
    { learning_rate_power: -0.3, l2_shrinkage_regularization_strength: 0.05 },
  ],
  rule: (constructed, { learning_rate_power }) => ({
    slots: { accumulator: constructed.initial_accumulator_value, linear: 0 },
    slotOrder: "variable",
    ...lines({
      root: learning_rate_power === -0.5,
      gradient: constructed.l2_shrinkage_regularization_strength > 0 ? "(g + (2 * shrinkage) * w)" : "g",
    }),
  }),
});

function lines({ root, gradient }: { root: boolean; gradient: string }): Omit<Rule, "slots"> {
  const power = (x: string) => root ? `sqrt(${x})` : `${x} ^ p`;
  const gather = "grown = accumulator + g * g";
  const linear = `linear = linear + (${gradient} - ((${power("grown")} - ${
    power("accumulator")
  }) / learning_rate) * w)`;
  const curve = `y = ${power("grown")} / learning_rate + 2 * l2_total`;
  const rows = [curve, "w = (clamp(linear, -l1, l1) - linear) / y", "accumulator = grown"];
  return {
    scalars: ["l2_total = l2 + beta / (2 * learning_rate)", "p = -learning_rate_power"],
    dense: [
      gather,
      linear,
      curve,
      "w = where(abs(linear) > l1, (l1 * sign(linear) - linear) / y, 0)",
      "accumulator = grown",
    ],
    sparse: { rows: [gather, linear, ...rows] },
    sparseScalarRows: [
      gather,
      "sigma = (grown ^ p - accumulator ^ p) / learning_rate",
      `linear = (linear + ${gradient}) - sigma * w`,
      ...rows,
    ],
  };
}
