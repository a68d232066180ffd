/** PyTorch's optimizers, one line per member. Adafactor and Muon need sums along axes and products of matrices. */
import type { OptimizerMember } from "../member/optimizer_member.ts";
import { adam } from "./adam.ts";
import { adamw } from "./adamw.ts";
import { sgd } from "./sgd.ts";

export const torchOptimizers: readonly OptimizerMember[] = [sgd, adam, adamw];
