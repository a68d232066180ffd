/** Source: Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks". */
import { scaled } from "./variance_scaling.ts";

export const glorotUniform = scaled({
  class_name: "GlorotUniform",
  aliases: ["glorot_uniform"],
  summary: "Uniform, variance 2 / (inputs + outputs): for tanh and sigmoid.",
  scaling: { scale: 1, mode: "fan_avg", distribution: "uniform" },
});
