/** TensorFlow.js' optimizers, one line per member. */
import type { OptimizerMember } from "../member/optimizer_member.ts";
import { adadelta } from "./adadelta.ts";
import { adagrad } from "./adagrad.ts";
import { adam } from "./adam.ts";
import { adamax } from "./adamax.ts";
import { momentum } from "./momentum.ts";
import { rmsprop } from "./rmsprop.ts";
import { sgd } from "./sgd.ts";

export const tfjsOptimizers: readonly OptimizerMember[] = [
  sgd,
  momentum,
  adagrad,
  adadelta,
  adam,
  adamax,
  rmsprop,
];
