/** Finds what is not finite in a staged tensor. It reads elements only if the sum of squares is not finite. */
import { placeOf, showShape } from "../../tensor.ts";
import type { RunState } from "../tensors/state.ts";
import type { Staged } from "./staged.ts";

/** The index of the first element that is not finite, in brackets, and its value. */
export function firstNonFinite(state: RunState, staged: Staged): { at: string; value: number } | undefined {
  if (Number.isFinite(staged.squares)) return undefined;
  const values = state.arena.f32(staged.values, staged.count);
  const index = values.findIndex((value) => !Number.isFinite(value));
  // The elements may be finite although their squares overflow float32, from 1.8e19 on.
  if (index < 0) return undefined;
  return { at: shownPlace(staged, index), value: values[index] as number };
}

/** The place of an element of a staged tensor, in brackets. */
export function shownPlace(staged: Staged, index: number): string {
  const { shape } = staged.variable;
  const dimensions = staged.kind === "sparse" ? [staged.rows, ...shape.slice(1)] : shape;
  return showShape(placeOf(index, dimensions));
}
