/** Uniform between minval and maxval. */
import { number } from "../mechanism/fields.ts";
import { initializer, seed } from "./initializer.ts";
import { draw } from "./sampler.ts";

export const randomUniform = initializer({
  class_name: "RandomUniform",
  aliases: ["random_uniform", "uniform"],
  summary: "Uniform between two bounds.",
  fields: {
    minval: number(-0.05, "The lower bound."),
    maxval: number(0.05, "The upper bound."),
    seed: seed(),
  },
  initialize: ({ minval, maxval, seed }, { drawSeed }) =>
    draw({
      distribution: "uniform",
      from: minval,
      to: maxval,
      seed: seed ?? drawSeed(),
    }),
});
