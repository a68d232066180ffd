/** All elements are 1. */
import { elementCount } from "../../tensor.ts";
import { initializer } from "./initializer.ts";

export const ones = initializer({
  class_name: "Ones",
  aliases: ["one"],
  summary: "All elements are 1.",
  fields: {},
  initialize: (_config, { shape }) => new Float32Array(elementCount(shape)).fill(1),
});
