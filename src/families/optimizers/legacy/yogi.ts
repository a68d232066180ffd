/**
 * Yogi: Adam with only additive changes of the second moment, so that it never shrinks fast.
 *
 * Rule: `m ← β₁·m + (1−β₁)g; v ← v − (1−β₂)·sign(v − g²)·g²; w ← w − (η·m) / (√v + ε)`.
 *
 * Sources: Zaheer, Reddi, Sachan, Kale, Kumar 2018, "Adaptive methods for nonconvex optimization"; Reddi et al.
 * 2021, "Adaptive federated optimization" (FedYogi: the same rule on a server; its τ is ε, and v starts from τ²).
 * Variant: both papers': no bias correction, ε outside the root; v starts from initial_accumulator_value, 1e-6 = τ²
 * for the default ε = τ = 1e-3. Sparse gradients change only their own rows.
 */
import { number } from "../../mechanism/fields.ts";
import { optimizer } from "../member/base.ts";

export const yogi = optimizer({
  class_name: "Yogi",
  summary: "Adam with additive changes of the second moment; the server optimizer of FedYogi.",
  description:
    "Zaheer et al. 2018; Reddi et al. 2021. No bias correction; the second moment starts from 1e-6.",
  learningRate: 0.01,
  fields: {
    beta_1: number(0.9, "How much of the first moment stays."),
    beta_2: number(0.999, "How slowly the second moment moves."),
    epsilon: number(1e-3, "A constant that bounds the steps: tau in the federated paper.", { minimum: 0 }),
    initial_accumulator_value: number(1e-6, "What the second moment starts from.", { minimum: 0 }),
  },
  hyper: ["beta_1", "beta_2"],
  fixed: ["initial_accumulator_value"],
  variants: [{}],
  rule: ({ initial_accumulator_value }) => ({
    slots: { m: 0, v: initial_accumulator_value },
    dense: [
      "m = beta_1 * m + (1 - beta_1) * g",
      "v = v - ((1 - beta_2) * sign(v - g * g)) * (g * g)",
      "w = w - (learning_rate * m) / (sqrt(v) + epsilon)",
    ],
  }),
});
