/** Clips each variable's gradient to the norm c = clip_norm: `(g·c) / max(‖g‖, c)`, even below it, as Keras does. */
import { float32 } from "../../float32.ts";
import { transformer } from "./transformer.ts";

export const clipByNorm = transformer({
  class_name: "ClipByNorm",
  summary: "Clips each variable's gradient to an L2 norm.",
  fields: { clip_norm: float32({ minimum: 0 }).describe("The greatest norm.") },
  rule: { kind: "lines", lines: ["g = (g * clip_norm) / max(norm(g), clip_norm)"] },
});
