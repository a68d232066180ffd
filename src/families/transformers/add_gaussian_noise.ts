/**
 * Gaussian noise for differential privacy: `g + stddev · z`, with an independent standard normal z for each element.
 *
 * Parameters: stddev, the standard deviation in units of the gradient, ≥ 0; seed, an integer in 0..2^53 − 1. Every
 * element of every gradient gets noise, including zeros. A sparse gradient is refused (`sparse_with_noise`), because
 * noise only in its rows would reveal which rows they are. A variable without a gradient gets neither step nor noise.
 *
 * z is a function of seed, place among the transformers, iteration, variable and element (kernels/noise/noise.ts),
 * with the same bits on every machine and after a restart. Therefore a run that goes back to an earlier iteration, or
 * another run with the same seed (a fork), repeats the noise, and the difference of the two reveals that of the
 * gradients: use another seed. The seed, which is in the run's description, protects nothing from those who know it.
 * The caller bounds what one client can change (client_clipnorm, clip_norm) and accounts for epsilon and delta, and
 * bears the risk that the rounding of floating-point numbers distinguishes values despite the noise (Mironov 2012).
 * The figures in an answer (gradient_norm, clip_factor) are those before the noise; do not show them to those from
 * whom it hides the gradients.
 *
 * Sources: Dwork, Roth 2014, "The algorithmic foundations of differential privacy" (Gaussian mechanism); Abadi et al.
 * 2016, "Deep learning with differential privacy"; McMahan, Ramage, Talwar, Zhang 2018, "Learning differentially
 * private recurrent language models"; Mironov 2012, "On significance of the least significant bits for differential
 * privacy". Variant: stddev is the noise's own, not a multiple of a clipping norm.
 */
import { z } from "zod";
import { float32 } from "../../float32.ts";
import { transformer } from "./transformer.ts";

export const addGaussianNoise = transformer({
  class_name: "AddGaussianNoise",
  summary: "Adds seeded Gaussian noise to every element; refuses sparse gradients.",
  fields: {
    stddev: float32({ minimum: 0 }).describe("The standard deviation of the noise."),
    seed: z.int().min(0)
      .describe(
        "Who knows it can take the noise away again. The same seed repeats the noise of an iteration.",
      ),
  },
  rule: { kind: "noise" },
});
