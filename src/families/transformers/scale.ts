/** Multiplies every gradient by a number: `g · scale`. */
import { number } from "../mechanism/fields.ts";
import { transformer } from "./transformer.ts";

export const scale = transformer({
  class_name: "Scale",
  summary: "Multiplies the gradients by a number.",
  fields: { scale: number(1, "The factor.") },
  rule: { kind: "lines", lines: ["g = g * scale"] },
});
