/** Clips elements to ±c, c = clip_value: `max(min(g, c), −c)`. NaN stays NaN. */
import { float32 } from "../../float32.ts";
import { transformer } from "./transformer.ts";

export const clipByValue = transformer({
  class_name: "ClipByValue",
  summary: "Clips each element of the gradients.",
  fields: { clip_value: float32({ minimum: 0 }).describe("The greatest magnitude.") },
  rule: { kind: "lines", lines: ["g = clamp(g, -clip_value, clip_value)"] },
});
