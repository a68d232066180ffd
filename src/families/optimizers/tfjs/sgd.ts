/**
 * TensorFlow.js' SGD: gradient descent.
 *
 * Rule: `w ← (−η)·g + w`.
 *
 * Source: tfjs-core, `optimizers/sgd_optimizer.ts`.
 * Variant: momentum is a class of its own (momentum.ts).
 */
import { tfjs } from "./tfjs_constructor.ts";

export const sgd = tfjs({
  class_name: "SGD",
  summary: "Gradient descent.",
  description: "TensorFlow.js'; momentum is another class.",
  learningRate: 0.01,
  fields: {},
  variants: [{}],
  rule: () => ({ slots: {}, dense: ["w = w - learning_rate * g"] }),
});
