/** All elements have the same value. */
import { elementCount } from "../../tensor.ts";
import { number } from "../mechanism/fields.ts";
import { initializer } from "./initializer.ts";

export const constant = initializer({
  class_name: "Constant",
  aliases: [],
  summary: "All elements have one value.",
  fields: { value: number(0, "The value.") },
  initialize: ({ value }, { shape }) => new Float32Array(elementCount(shape)).fill(value),
});
