/**
 * PyTorch's Rprop: a step size for each element, which grows while the gradient keeps its sign.
 *
 * Rule: `s ← clamp(s·η⁺, …)` where the sign stays, `clamp(s·η⁻, …)` and no step where it turns;
 * `w ← w − sign(d)·s`.
 *
 * Sources: Riedmiller, Braun 1993; `torch/optim/rprop.py`.
 * Variant: the learning rate is the first step size, and means nothing afterwards. Sparse gradients change only their
 * own rows.
 */
import { z } from "zod";
import { float32 } from "../../../float32.ts";
import type { Config, Problem } from "../../mechanism/family.ts";
import { torch } from "./torch_constructor.ts";

const pair = (first: number, second: number, description: string) =>
  z.array(float32({ minimum: 0 })).length(2).default([first, second]).describe(description);

export const rprop = torch({
  class_name: "Rprop",
  summary: "A step size for each element, from the signs of its gradients.",
  description:
    "Riedmiller, Braun 1993. PyTorch's: no step where the sign turns; the rate is the first step size.",
  lr: 0.01,
  fixedRate: true,
  fields: {
    etas: pair(0.5, 1.2, "By what the step size shrinks and grows: below 1, above 1."),
    step_sizes: pair(1e-6, 50, "The smallest and the largest step size."),
  },
  symbols: {
    "etas.0": "eta_minus",
    "etas.1": "eta_plus",
    "step_sizes.0": "smallest",
    "step_sizes.1": "largest",
  },
  variants: [{}],
  check: etasApart,
  rule: ({ lr }) => ({
    slots: { prev: 0, step_size: lr },
    dense: [
      "d = direction * g",
      "turned = d * prev",
      "factor = where(turned > 0, eta_plus, where(turned < 0, eta_minus, 1))",
      "step_size = clamp(step_size * factor, smallest, largest)",
      "prev = where(turned < 0, 0, d)",
      "w = w - sign(prev) * step_size",
    ],
  }),
});

function etasApart({ etas = [0.5, 1.2] }: Config): Problem[] {
  const [minus, plus] = Array.isArray(etas) ? etas as unknown[] : [];
  if (typeof minus !== "number" || typeof plus !== "number" || (minus > 0 && minus < 1 && plus > 1)) {
    return [];
  }
  return [{
    key: "etas",
    message: `is ${JSON.stringify(etas)}, must be one number between 0 and 1, and one above 1`,
  }];
}
