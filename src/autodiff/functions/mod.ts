/** Every function that a loss may use: the whitelist. */
import { ACTIVATIONS } from "./activations.ts";
import type { TensorFunction } from "./define.ts";
import { ELEMENTWISE } from "./elementwise.ts";
import { CONVOLUTIONS } from "./convolutions.ts";
import { INDICES } from "./indices.ts";
import { LOSSES } from "./loss_functions.ts";
import { MATRICES } from "./matrices.ts";
import { POOLS } from "./pools.ts";
import { REDUCTIONS } from "./reductions.ts";
import { SHAPES } from "./shapes.ts";

/** Functions by topic, in the order of the docs. */
export const TOPICS: Readonly<Record<string, readonly TensorFunction[]>> = {
  "Element by element": ELEMENTWISE,
  "Activations": ACTIVATIONS,
  "Reductions": REDUCTIONS,
  "Matrices": MATRICES,
  "Shapes": SHAPES,
  "Look-ups": INDICES,
  "Images": [...CONVOLUTIONS, ...POOLS],
  "Losses": LOSSES,
};

export const FUNCTIONS: ReadonlyMap<string, TensorFunction> = new Map(
  Object.values(TOPICS).flat().map((row) => [row.name, row]),
);
