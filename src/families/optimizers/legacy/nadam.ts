/**
 * Nadam: Adam with Nesterov momentum, whose decay follows its own schedule.
 *
 * Rule: `u = β₁(1 − ½·0.96^(δT))`, u' the same for T+1; `K ← K·u`; `m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²`;
 * `w ← w − η·((1−u)·g/(1−K) + u'·m/(1−K·u')) / (√(v/(1−β₂ᵀ)) + ε)`.
 *
 * Source: Dozat 2016, "Incorporating Nesterov momentum into Adam".
 * Variant: Keras' legacy form. δ is schedule_decay (0.004; Keras 3 has 1), which `get_config` calls decay; a given
 * decay is discarded, so that Keras' own round trip loses it. K, the product of all u so far, is one scalar per run.
 * Sparse gradients decay m and v on every row and move only their own rows.
 */
import { number } from "../../mechanism/fields.ts";
import { epsilon, legacy } from "./legacy_constructor.ts";

export const nadam = legacy({
  class_name: "Nadam",
  summary: "Adam with Nesterov momentum on a schedule.",
  description: "Dozat 2016. Keras' legacy form, with schedule_decay 0.004; takes no learning-rate schedule.",
  learningRate: 0.001,
  decay: "discarded",
  checkedFirst: ["learning_rate"],
  check: ({ learning_rate }) =>
    typeof learning_rate === "object" && learning_rate !== null || typeof learning_rate === "string"
      ? [{
        key: "learning_rate",
        message: "is a schedule, must be a number: Nadam has a schedule of its own",
      }]
      : [],
  fields: {
    beta_1: number(0.9, "How much of the first moment stays, before the schedule."),
    beta_2: number(0.999, "How much of the second moment stays."),
    epsilon: epsilon(),
  },
  hyper: ["beta_1", "beta_2"],
  symbols: { decay: "schedule_decay" },
  variants: [{}],
  rule: () => ({
    slots: { m: 0, v: 0 },
    state: { momentum_cache: 1 },
    scalars: [
      "u = beta_1 * (1 - 0.5 * 0.96 ^ (schedule_decay * T))",
      "u_next = beta_1 * (1 - 0.5 * 0.96 ^ (schedule_decay * (T + 1)))",
      "momentum_cache = momentum_cache * u",
      "cache_next = momentum_cache * u_next",
      "b = 1 - beta_2 ^ T",
    ],
    dense: [
      "g_hat = g / (1 - momentum_cache)",
      "m = (beta_1 * m) + ((1 - beta_1) * g)",
      "m_hat = m / (1 - cache_next)",
      "v = (beta_2 * v) + ((1 - beta_2) * (g * g))",
      "v_hat = v / b",
      "n = ((1 - u) * g_hat) + (u_next * m_hat)",
      "w = w - (learning_rate * n) / (sqrt(v_hat) + epsilon)",
    ],
    sparse: {
      all: ["m = m * beta_1", "v = v * beta_2"],
      rows: [
        "m = m + (g * (1 - beta_1))",
        "n = ((1 - u) * (g / (1 - momentum_cache))) + (u_next * (m / (1 - cache_next)))",
        "v = v + ((g * g) * (1 - beta_2))",
        "w = w + ((-learning_rate) * n) / (sqrt(v / b) + epsilon)",
      ],
    },
  }),
});
