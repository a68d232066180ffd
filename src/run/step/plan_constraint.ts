/**
 * Plans the kernel calls of a variable's constraint after its dense update. Elementwise constraints are not planned
 * here: their lines are fused into the update's kernel (plan_dense.ts).
 */
import { stretches } from "../../../kernels/routines/axes.ts";
import type { Instruction } from "./instruction.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import type { VariableState } from "../tensors/state.ts";

type Allocate = (bytes: number) => number;

/** The instructions to run after the variable's new value is stored; `allocate` allocates scratch memory. */
export function planConstraint(variable: VariableState, allocate: Allocate): Instruction[] {
  const { constraint } = variable;
  if (constraint?.rule.kind === "axis_norm") return planAxisNorm(variable, allocate);
  if (constraint?.rule.kind === "copy_rows") return planCopyRows(variable, constraint.rule.sources, allocate);
  return [];
}

/** Computes norms over the axes, one factor per norm, and then multiplies or divides every stretch by its factors. */
function planAxisNorm(variable: VariableState, allocate: Allocate): Instruction[] {
  const { constraint, shape, offset } = variable;
  if (constraint?.rule.kind !== "axis_norm") return [];
  const { rule: { axis, factor, apply } } = constraint;
  const uniforms = Object.fromEntries(
    Object.entries(constraint.uniforms).map(([name, value]) => [name, Math.fround(value)]),
  );
  const axes = axis ?? shape.map((_, index) => index);
  const { stretches: parts, count } = stretches(shape, axes);
  const norms = allocate(4 * count), factors = allocate(4 * count);
  const scale = program({
    lines: [`w = w ${apply === "multiply" ? "*" : "/"} factor`],
    tensors: ["w", "factor"],
    stored: ["w"],
  });
  return [
    {
      kind: "axes",
      reduce: "norm",
      at: { tensor: offset, result: norms, scratch: allocate(8 * count), shape, axes },
    },
    {
      kind: "call",
      call: {
        kernel: program({
          lines: factor,
          tensors: ["norm", "factor"],
          stored: ["factor"],
          uniforms: Object.keys(uniforms),
        }).kernel(),
        tensors: { norm: norms, factor: factors },
        rowCount: 1,
        rowLength: count,
        uniforms,
      },
    },
    ...parts.flatMap(({ start, times, repeats, width, target }): Instruction[] => {
      const part = (
        access: "splat" | "repeat",
        rowCount: number,
        rowLength: number,
        block = 0,
      ): Instruction => ({
        kind: "call",
        call: {
          kernel: scale.kernel({ factor: { access } }),
          tensors: {
            w: offset + 4 * (start + block * repeats * width),
            factor: factors + 4 * (target + block * width),
          },
          rowCount,
          rowLength,
          uniforms: {},
        },
      });
      // One factor for all elements of a block, or one for each of its columns.
      if (width === 1) return [part("splat", times, repeats)];
      return Array.from({ length: times }, (_, block) => part("repeat", repeats, width, block));
    }),
  ];
}

/** Sets row i to the old row sources[i]: copies rows to scratch memory and back. */
function planCopyRows(
  variable: VariableState,
  sources: readonly number[],
  allocate: Allocate,
): Instruction[] {
  const scratch = allocate(4 * variable.count);
  const rowLength = sources.length === 0 ? 0 : variable.count / sources.length;
  const copy = program({ lines: ["to = from"], tensors: ["to", "from"], stored: ["to"] });
  const row = (to: number, from: number): Instruction => ({
    kind: "call",
    call: { kernel: copy.kernel(), tensors: { to, from }, rowCount: 1, rowLength, uniforms: {} },
  });
  return [
    ...sources.map((source, index) =>
      row(scratch + 4 * rowLength * index, variable.offset + 4 * rowLength * source)
    ),
    {
      kind: "call",
      call: {
        kernel: copy.kernel(),
        tensors: { to: variable.offset, from: scratch },
        rowCount: 1,
        rowLength: variable.count,
        uniforms: {},
      },
    },
  ];
}
