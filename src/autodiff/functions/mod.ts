/** Every function that a loss may use. */
import type { TensorFunction } from "./define.ts";
import { ELEMENTWISE } from "./elementwise.ts";
import { INDICES } from "./indices.ts";

export const FUNCTIONS: ReadonlyMap<string, TensorFunction> = new Map(
  [...ELEMENTWISE, ...INDICES].map((row) => [row.name, row]),
);
