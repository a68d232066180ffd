/**
 * Keras' optimizers since 2.11, those of Keras 3 among them, one line per member. Adafactor and Muon need sums along
 * axes and products of matrices; a LossScaleOptimizer wraps another one.
 */
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

export const kerasOptimizers: readonly OptimizerMember[] = [
  sgd,
  adam,
  adamw,
  rmsprop,
  adagrad,
  adadelta,
  adamax,
  nadam,
  ftrl,
  lion,
  lamb,
];
