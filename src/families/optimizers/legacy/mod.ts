/** What a bare class name means: Keras' legacy optimizers, and four that Keras' legacy family lacks. One line per member. */
import type { OptimizerMember } from "../member/optimizer_member.ts";
import { adadelta } from "./adadelta.ts";
import { adagrad } from "./adagrad.ts";
import { adam } from "./adam.ts";
import { adamax } from "./adamax.ts";
import { adamw } from "./adamw.ts";
import { ftrl } from "./ftrl.ts";
import { lamb } from "./lamb.ts";
import { lion } from "./lion.ts";
import { nadam } from "./nadam.ts";
import { rmsprop } from "./rmsprop.ts";
import { sgd } from "./sgd.ts";
import { yogi } from "./yogi.ts";

export const legacyOptimizers: readonly OptimizerMember[] = [
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
];
