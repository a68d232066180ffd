/** The family of optimizers: the members of every convention, one line per convention. */
import { Family } from "../mechanism/family.ts";
import { placeOf } from "./conventions.ts";
import { kerasOptimizers } from "./keras/mod.ts";
import { legacyOptimizers } from "./legacy/mod.ts";
import type { OptimizerMember } from "./member/optimizer_member.ts";
import { optaxOptimizers } from "./optax/mod.ts";
import { tfjsOptimizers } from "./tfjs/mod.ts";
import { torchOptimizers } from "./torch/mod.ts";

/** Optimizers by name and module: the built-in ones, or these and a service's registered ones. */
export type OptimizerFamily = Family<OptimizerMember>;

/** The built-in optimizers and the registered ones. */
export function familyOf(registered: readonly OptimizerMember[]): OptimizerFamily {
  return new Family<OptimizerMember>("optimizer", [
    ...legacyOptimizers,
    ...kerasOptimizers,
    ...torchOptimizers,
    ...optaxOptimizers,
    ...tfjsOptimizers,
    ...registered,
  ], { placeOf });
}

export const optimizers: OptimizerFamily = familyOf([]);
