/** The family of clip norms: one line per member. */
import { Family } from "../mechanism/family.ts";
import { adaptiveQuantile } from "./adaptive_quantile.ts";
import type { ClipNormMember } from "./clip_norm.ts";

export const clipNorms = new Family<ClipNormMember>("clip norm", [
  adaptiveQuantile,
], { isOwn: true });
