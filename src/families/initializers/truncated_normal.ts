/** Normally distributed, cut off at two standard deviations (before truncation) from the mean. */
import { number } from "../mechanism/fields.ts";
import { initializer, seed } from "./initializer.ts";
import { draw } from "./sampler.ts";

export const truncatedNormal = initializer({
  class_name: "TruncatedNormal",
  aliases: ["truncated_normal"],
  summary: "Normally distributed within two standard deviations.",
  fields: {
    mean: number(0, "The mean."),
    stddev: number(0.05, "The standard deviation.", { minimum: 0 }),
    seed: seed(),
  },
  initialize: ({ mean, stddev, seed }, { drawSeed }) =>
    draw({
      distribution: "truncated_normal",
      from: mean,
      to: stddev,
      seed: seed ?? drawSeed(),
    }),
});
