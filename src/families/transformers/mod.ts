/** The family of gradient transformers: one line per member. */
import { Family } from "../mechanism/family.ts";
import { addDecayedWeights } from "./add_decayed_weights.ts";
import { addGaussianNoise } from "./add_gaussian_noise.ts";
import { centralize } from "./centralize.ts";
import { clipByNorm } from "./clip_by_norm.ts";
import { clipByValue } from "./clip_by_value.ts";
import { formula } from "./formula.ts";
import { scale } from "./scale.ts";
import type { TransformerMember } from "./transformer.ts";

export const transformers = new Family<TransformerMember>("gradient transformer", [
  scale,
  centralize,
  addDecayedWeights,
  clipByValue,
  clipByNorm,
  addGaussianNoise,
  formula,
], { isOwn: true });
