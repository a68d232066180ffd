/** PyTorch's optimizers, one line per member. Adafactor and Muon need sums along axes and products of matrices. */
import type { OptimizerMember } from "../member/optimizer_member.ts";
import { adadelta } from "./adadelta.ts";
import { adagrad } from "./adagrad.ts";
import { adam } from "./adam.ts";
import { adamax } from "./adamax.ts";
import { adamw } from "./adamw.ts";
import { asgd } from "./asgd.ts";
import { nadam } from "./nadam.ts";
import { radam } from "./radam.ts";
import { rmsprop } from "./rmsprop.ts";
import { rprop } from "./rprop.ts";
import { sgd } from "./sgd.ts";

export const torchOptimizers: readonly OptimizerMember[] = [
  sgd,
  adam,
  adamw,
  nadam,
  radam,
  adamax,
  adagrad,
  adadelta,
  rmsprop,
  rprop,
  asgd,
];
