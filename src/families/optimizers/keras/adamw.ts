/**
 * AdamW of Keras 3: Adam (adam.ts) with weight decay by default.
 *
 * Rule: `w ← w − (w·λ)·η`, then Adam.
 *
 * Sources: Loshchilov, Hutter 2019, "Decoupled weight decay regularization"; `keras/src/optimizers/adamw.py`.
 * Variant: the decay comes first and is multiplied by the learning rate of the step.
 */
import { flag } from "../../mechanism/fields.ts";
import { adamRule } from "./adam.ts";
import { betas, epsilon, keras } from "./keras_constructor.ts";

export const adamw = keras({
  class_name: "AdamW",
  summary: "Adam with decoupled weight decay.",
  description: "Loshchilov, Hutter 2019. Keras 3's: the decay first, epsilon beside the raw root.",
  learningRate: 0.001,
  weightDecay: 0.004,
  fields: {
    ...betas(),
    epsilon: epsilon(),
    amsgrad: flag(false, "Divide by the greatest second moment so far."),
  },
  variants: [{}, { amsgrad: true }],
  rule: (_constructed, { amsgrad }) => adamRule(amsgrad),
});
