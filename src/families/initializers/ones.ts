/** All elements are 1. */
import { initializer } from "./initializer.ts";

export const ones = initializer({
  class_name: "Ones",
  aliases: ["one"],
  summary: "All elements are 1.",
  fields: {},
  initialize: () => (part) => void part.fill(1),
});
