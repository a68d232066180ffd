/** The family of constraints: one line per member. */
import { Family } from "../mechanism/family.ts";
import type { ConstraintMember } from "./constraint.ts";
import { formula } from "./formula.ts";
import { maxNorm } from "./max_norm.ts";
import { minMaxNorm } from "./min_max_norm.ts";
import { nonNeg } from "./non_neg.ts";
import { radialConstraint } from "./radial_constraint.ts";
import { unitNorm } from "./unit_norm.ts";

export const constraints = new Family<ConstraintMember>("constraint", [
  maxNorm,
  unitNorm,
  minMaxNorm,
  nonNeg,
  radialConstraint,
  formula,
]);
