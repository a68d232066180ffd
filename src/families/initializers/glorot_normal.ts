/** Source: Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks". */
import { scaled } from "./variance_scaling.ts";

export const glorotNormal = scaled({
  class_name: "GlorotNormal",
  aliases: ["glorot_normal"],
  summary: "Truncated normal, variance 2 / (inputs + outputs): for tanh and sigmoid.",
  scaling: { scale: 1, mode: "fan_avg", distribution: "truncated_normal" },
});
