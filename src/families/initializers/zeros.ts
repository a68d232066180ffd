/** All elements are 0. */
import { elementCount } from "../../tensor.ts";
import { initializer } from "./initializer.ts";

export const zeros = initializer({
  class_name: "Zeros",
  aliases: ["zero"],
  summary: "All elements are 0.",
  fields: {},
  initialize: (_config, { shape }) => new Float32Array(elementCount(shape)),
});
