/** Normally distributed. */
import { number } from "../mechanism/fields.ts";
import { initializer, seed } from "./initializer.ts";
import { draw } from "./sampler.ts";

export const randomNormal = initializer({
  class_name: "RandomNormal",
  aliases: ["random_normal", "normal"],
  summary: "Normally distributed.",
  fields: {
    mean: number(0, "The mean."),
    stddev: number(0.05, "The standard deviation.", { minimum: 0 }),
    seed: seed(),
  },
  initialize: ({ mean, stddev, seed }, { drawSeed }) =>
    draw({
      distribution: "normal",
      from: mean,
      to: stddev,
      seed: seed ?? drawSeed(),
    }),
});
