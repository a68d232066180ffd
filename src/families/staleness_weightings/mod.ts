/** The family of staleness weightings: one line per member. */
import { Family } from "../mechanism/family.ts";
import { constant } from "./constant.ts";
import { hinge } from "./hinge.ts";
import { polynomial } from "./polynomial.ts";
import type { StalenessWeightingMember } from "./staleness_weighting.ts";

export const stalenessWeightings = new Family<StalenessWeightingMember>("staleness weighting", [
  constant,
  polynomial,
  hinge,
], { isOwn: true });
