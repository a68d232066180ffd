/** All elements have the same value. */
import { number } from "../mechanism/fields.ts";
import { initializer } from "./initializer.ts";

export const constant = initializer({
  class_name: "Constant",
  aliases: [],
  summary: "All elements have one value.",
  fields: { value: number(0, "The value.") },
  initialize: ({ value }) => (part) => void part.fill(value),
});
