/**
 * optax's optimizers, one line per member. Prodigy needs numbers over all variables; lookahead wraps another one.
 */
import type { OptimizerMember } from "../member/optimizer_member.ts";
import { adabelief } from "./adabelief.ts";
import { adamw } from "./adamw.ts";
import { adan } from "./adan.ts";
import { amsgrad } from "./amsgrad.ts";
import { lamb } from "./lamb.ts";
import { lion } from "./lion.ts";
import { nadamw } from "./nadamw.ts";
import { novograd } from "./novograd.ts";
import { radam } from "./radam.ts";
import { yogi } from "./yogi.ts";

export const optaxOptimizers: readonly OptimizerMember[] = [
  adamw,
  nadamw,
  lion,
  lamb,
  yogi,
  adan,
  radam,
  amsgrad,
  novograd,
  adabelief,
];
