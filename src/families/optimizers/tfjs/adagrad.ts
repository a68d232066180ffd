/**
 * TensorFlow.js' Adagrad: per-element rates from the sum of squared gradients.
 *
 * Rule: `n ← n + g²; w ← (−η)·(g/√(n + ε)) + w`, ε = 1e-7.
 *
 * Sources: Duchi, Hazan, Singer 2011; tfjs-core, `optimizers/adagrad_optimizer.ts`.
 * Variant: ε is inside the root and no config has it.
 */
import { number } from "../../mechanism/fields.ts";
import { BACKEND_EPSILON, tfjs } from "./tfjs_constructor.ts";

export const adagrad = tfjs({
  class_name: "Adagrad",
  summary: "Per-element rates from the sum of squared gradients.",
  description: "Duchi et al. 2011. TensorFlow.js': an epsilon of 1e-7 inside the root.",
  learningRate: 0.01,
  fields: {
    initialAccumulatorValue: number(0.1, "What the accumulator starts from.", { minimum: 0 }),
  },
  fixed: ["initialAccumulatorValue"],
  variants: [{}],
  rule: ({ initialAccumulatorValue }) => ({
    slots: { accumulator: initialAccumulatorValue },
    dense: [
      "accumulator = accumulator + g * g",
      `w = w - learning_rate * (g / sqrt(accumulator + ${BACKEND_EPSILON}))`,
    ],
  }),
});
