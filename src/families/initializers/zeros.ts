/** All elements are 0. */
import { initializer } from "./initializer.ts";

export const zeros = initializer({
  class_name: "Zeros",
  aliases: ["zero"],
  summary: "All elements are 0.",
  fields: {},
  initialize: () => (part) => void part.fill(0),
});
