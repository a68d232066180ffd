/** Source: He, Zhang, Ren, Sun 2015, "Delving deep into rectifiers". */
import { scaled } from "./variance_scaling.ts";

export const heNormal = scaled({
  class_name: "HeNormal",
  aliases: ["he_normal"],
  summary: "Truncated normal, variance 2 / inputs: for relu.",
  scaling: { scale: 2, mode: "fan_in", distribution: "truncated_normal" },
});
