/** Source: He, Zhang, Ren, Sun 2015, "Delving deep into rectifiers". */
import { scaled } from "./variance_scaling.ts";

export const heUniform = scaled({
  class_name: "HeUniform",
  aliases: ["he_uniform"],
  summary: "Uniform, variance 2 / inputs: for relu.",
  scaling: { scale: 2, mode: "fan_in", distribution: "uniform" },
});
