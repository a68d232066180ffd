/** The family of optimizers: one line a member. */
import { Family } from "../family.ts";
import type { OptimizerMember } from "./definition.ts";
import { adam } from "./adam.ts";
import { sgd } from "./sgd.ts";

export const optimizers = new Family<OptimizerMember>("optimizer", [
  sgd,
  adam,
]);
