/** Source: LeCun, Bottou, Orr, Müller 1998, "Efficient BackProp". */
import { scaled } from "./variance_scaling.ts";

export const lecunUniform = scaled({
  class_name: "LecunUniform",
  aliases: ["lecun_uniform"],
  summary: "Uniform, variance 1 / inputs: for selu.",
  scaling: { scale: 1, mode: "fan_in", distribution: "uniform" },
});
