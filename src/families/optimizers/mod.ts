/** The family of optimizers: one line per member. */
import { Family } from "../mechanism/family.ts";
import { adadelta } from "./adadelta.ts";
import { adagrad } from "./adagrad.ts";
import { adam } from "./adam.ts";
import { adamax } from "./adamax.ts";
import { adamw } from "./adamw.ts";
import type { OptimizerMember } from "./optimizer_member.ts";
import { ftrl } from "./ftrl.ts";
import { lamb } from "./lamb.ts";
import { lion } from "./lion.ts";
import { nadam } from "./nadam.ts";
import { rmsprop } from "./rmsprop.ts";
import { sgd } from "./sgd.ts";
import { yogi } from "./yogi.ts";

/** Optimizers by name: the built-in ones, or these and a service's registered ones. */
export type OptimizerFamily = Family<OptimizerMember>;

export const optimizers: OptimizerFamily = new Family<OptimizerMember>("optimizer", [
  sgd,
  adam,
  adamax,
  nadam,
  adagrad,
  adadelta,
  rmsprop,
  ftrl,
  adamw,
  lion,
  lamb,
  yogi,
]);
