/** Source: LeCun, Bottou, Orr, Müller 1998, "Efficient BackProp". */
import { scaled } from "./variance_scaling.ts";

export const lecunNormal = scaled({
  class_name: "LecunNormal",
  aliases: ["lecun_normal"],
  summary: "Truncated normal, variance 1 / inputs: for selu.",
  scaling: { scale: 1, mode: "fan_in", distribution: "truncated_normal" },
});
