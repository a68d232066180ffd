/** A step as data: an ordered list of instructions. plan_step.ts and its parts make them; `perform` executes them. */
import { reduceAxes } from "../../../kernels/routines/axes.ts";
import { addGaussianNoise, type Noise } from "../../../kernels/noise/noise.ts";
import type { Call, Runner } from "../../../kernels/compiler/runner.ts";
import type { RunState } from "../tensors/state.ts";

/** A kernel call, a fill with zeros, a copy, norms or means over axes, or noise to add. */
export type Instruction =
  | { readonly kind: "call"; readonly call: Call }
  | { readonly kind: "fill"; readonly offset: number; readonly count: number }
  | { readonly kind: "copy"; readonly from: number; readonly offset: number; readonly count: number }
  | {
    readonly kind: "axes";
    readonly reduce: "norm" | "mean";
    readonly at: Parameters<typeof reduceAxes>[2];
  }
  | { readonly kind: "noise"; readonly offset: number; readonly count: number; readonly noise: Noise };

/** Performs instructions in order. During a step, nothing else writes to variables and slots. */
export function perform(state: RunState, instructions: readonly Instruction[], runner: Runner): void {
  for (const instruction of instructions) {
    if (instruction.kind === "call") runner(state.arena, instruction.call);
    else if (instruction.kind === "fill") state.arena.f32(instruction.offset, instruction.count).fill(0);
    else if (instruction.kind === "copy") {
      const { from, offset, count } = instruction;
      state.arena.f32(offset, count).set(state.arena.f32(from, count));
    } else if (instruction.kind === "axes") reduceAxes(state.arena, instruction.reduce, instruction.at);
    else addGaussianNoise(state.arena, instruction, instruction.noise);
  }
}
