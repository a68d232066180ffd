/**
 * A bound that follows a quantile of the norms: `C ← C·exp(−η·(b − γ))`, where b is the share of the contributions
 * whose norm was at most C. It settles where the share γ is not clipped.
 *
 * Parameters, named as in TensorFlow Privacy: initial_l2_norm_clip, the first C; target_unclipped_quantile, γ;
 * learning_rate, η: a step changes C by a factor of at most exp(η). For differential privacy, clipped_count_stddev is
 * the standard deviation σ of Gaussian noise on the count, which needs a seed, and expected_num_records the number m
 * that the noisy count is divided by; without it, the number of contributions. The count is shifted by a half for each
 * contribution, so that one changes it by at most a half: `b = (Σ(bᵢ − 1/2) + σz) / m + 1/2`, held in 0..1.
 *
 * The caller accounts for epsilon and delta: with a noise multiplier z for values and count together, `noise.multiplier`
 * is (z⁻² − (2σ)⁻²)^(−1/2) (theorem 1 of the source). The seed, which is in the run's description, protects nothing
 * from those who know it.
 *
 * Source: Andrew, Thakkar, McMahan, Ramaswamy 2021, "Differentially private learning with adaptive clipping"
 * (geometric update). Variant: the arithmetic of TensorFlow Privacy's QuantileEstimatorQuery, in float32; a bound that
 * would leave the normal float32 numbers stays at their end.
 */
import { z } from "zod";
import { exp } from "../../../kernels/libm/mod.ts";
import { gaussian } from "../../../kernels/noise/noise.ts";
import { FLOAT32_MAX, FLOAT32_NORMAL_MIN } from "../../float32.ts";
import { maybeNumber, number } from "../mechanism/fields.ts";
import { clipNorm } from "./clip_norm.ts";

const f32 = Math.fround;

/** Stream of the noise on counts: the last one, which no transformer has (fused_lines.ts). */
const COUNT_STREAM = 2047;

export const adaptiveQuantile = clipNorm({
  class_name: "AdaptiveQuantile",
  summary: "Follows a quantile of the contributions' norms, by a geometric update after each step.",
  fields: {
    initial_l2_norm_clip: number(0.1, "The first bound.", { minimum: FLOAT32_NORMAL_MIN }),
    target_unclipped_quantile: number(0.5, "The share of contributions that should not be clipped.", {
      minimum: 0,
      maximum: 1,
    }),
    learning_rate: number(0.2, "A step changes the bound by a factor of at most exp(learning_rate).", {
      minimum: 0,
    }),
    clipped_count_stddev: number(0, "The standard deviation of the noise on the count of the unclipped.", {
      minimum: 0,
    }),
    expected_num_records: maybeNumber(
      "What the noisy count is divided by; null: the number of contributions.",
      { minimum: 1 },
    ),
    seed: z.int().min(0).nullable().default(null).describe(
      "What the noise on the count follows from; must be given with such noise.",
    ),
  },
  check: ({ clipped_count_stddev: stddev, seed }) =>
    typeof stddev === "number" && stddev > 0 && (seed ?? null) === null
      ? [{ key: "seed", message: `is missing, must be given: clipped_count_stddev is ${stddev}` }]
      : [],
  initial: ({ initial_l2_norm_clip }) => f32(initial_l2_norm_clip),
  next(config, { norm, count, within, iteration }) {
    const { clipped_count_stddev: stddev, seed, expected_num_records: expected } = config;
    // Halves are exact in float32 up to 2^23 contributions.
    const centred = f32(within - count / 2);
    const noise = { seed: seed ?? 0, stream: COUNT_STREAM, iteration, variable: 0, stddev };
    const noisy = stddev === 0 ? centred : f32(centred + gaussian(noise));
    const share = f32(f32(noisy / f32(expected ?? count)) + 0.5);
    const held = Math.min(1, Math.max(0, share));
    const update = f32(f32(config.learning_rate) * f32(held - f32(config.target_unclipped_quantile)));
    const next = f32(norm * exp(-update));
    return Math.min(FLOAT32_MAX, Math.max(FLOAT32_NORMAL_MIN, next));
  },
});
