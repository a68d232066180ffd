/**
 * Adam: adaptive estimates of the first and second moment of the gradient.
 *
 * Rule: `m ← m + (g−m)(1−β₁); v ← v + (g²−v)(1−β₂); w ← w − m·α / (√v + ε)`, `α = η·√(1−β₂ᵀ) / (1−β₁ᵀ)`.
 *
 * Sources: Kingma, Ba 2015, "Adam: A method for stochastic optimization"; Reddi, Kale, Kumar 2018, "On the
 * convergence of Adam and beyond" (amsgrad).
 * Variant: ε is outside the root and not bias-corrected ("epsilon hat"); amsgrad takes the maximum of the raw v and
 * leaves the bias correction in α. Sparse gradients decay and move every row; their α is associated differently.
 */
import { flag, number } from "../../mechanism/fields.ts";
import { epsilon, legacy } from "./legacy_constructor.ts";

export const adam = legacy({
  class_name: "Adam",
  summary: "Adaptive moment estimation, optionally AMSGrad.",
  description: "Kingma, Ba 2015; Reddi et al. 2018 (amsgrad). Epsilon outside the root, not bias-corrected.",
  learningRate: 0.001,
  fields: {
    beta_1: number(0.9, "How much of the first moment stays."),
    beta_2: number(0.999, "How much of the second moment stays."),
    epsilon: epsilon(),
    amsgrad: flag(false, "Divide by the greatest second moment so far."),
  },
  hyper: ["beta_1", "beta_2"],
  savedByVersion1: "with_vhat",
  variants: [{}, { amsgrad: true }],
  rule: (_constructed, { amsgrad }) => ({
    slots: amsgrad ? { m: 0, v: 0, vhat: 0 } : { m: 0, v: 0 },
    scalars: [
      "power_1 = beta_1 ^ T",
      "power_2 = beta_2 ^ T",
      "alpha = (learning_rate * sqrt(1 - power_2)) / (1 - power_1)",
      "alpha_sparse = learning_rate * (sqrt(1 - power_2) / (1 - power_1))",
    ],
    dense: [
      "m = m + (g - m) * (1 - beta_1)",
      "v = v + (g * g - v) * (1 - beta_2)",
      ...amsgrad ? ["vhat = max(vhat, v)"] : [],
      `w = w - (m * alpha) / (sqrt(${amsgrad ? "vhat" : "v"}) + epsilon)`,
    ],
    sparse: {
      all: ["m = m * beta_1", "v = v * beta_2"],
      rows: ["m = m + g * (1 - beta_1)", "v = v + (g * g) * (1 - beta_2)"],
      after: [
        // TensorFlow's sparse maximum propagates every NaN; its dense kernel ignores a NaN in v.
        ...amsgrad ? ["vhat = where(v == v, max(vhat, v), v)"] : [],
        `w = w - (alpha_sparse * m) / (sqrt(${amsgrad ? "vhat" : "v"}) + epsilon)`,
      ],
    },
  }),
});
