/**
 * Plans Keras' three clips as formula lines: clipvalue → clipnorm → global_clipnorm. Norms are computed as in
 * TensorFlow: for a sparse gradient, over its rows before repeated ones are merged.
 */
import { evaluateScalars } from "../../../kernels/compiler/runner.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import { type FusedLines, joined, NOTHING, type StepContext } from "./fused_lines.ts";
import type { Staged } from "../staging/staged.ts";

/** These names cannot collide: names of rules have no double underscore and are no keys of clips. */
const CLIP_VALUE = "g = max(min(g, clipvalue), -clipvalue)";
const CLIP_NORM = "g = (g * clipnorm) / max(g__norm, clipnorm)";
const GLOBAL_CLIP = "g = g * clip__scale";
const GLOBAL_SCALE = ["clip_scale = global_clipnorm * min(1 / total, 1 / global_clipnorm) + (total - total)"];

/**
 * The clip lines of every gradient, and the smallest factor by which a norm clip scales a gradient. `given` are the
 * squares of each variable's gradient as it came; where a gradient spans variables, only their global norm is clipped.
 */
export function planClip(context: StepContext, gradients: readonly Staged[], given: ArrayLike<number>) {
  const { clipvalue, clipnorm, global_clipnorm } = context.optimizers[0].current;
  const byValue: FusedLines = clipvalue === null
    ? NOTHING
    : { lines: [CLIP_VALUE], uniforms: { clipvalue: Math.fround(clipvalue) } };
  const lines = new Map<Staged, FusedLines>(gradients.map((staged) => [staged, byValue]));
  if (clipnorm === null && global_clipnorm === null) return { lines, factor: 1 };

  let factor = 1;
  const clipped = (lines: (staged: Staged) => FusedLines) =>
    gradients.map((staged) => squaresOf(context, staged, lines(staged)));
  let squares = clipvalue === null ? Array.from(given, Math.fround) : clipped(() => byValue);
  if (clipnorm !== null) {
    const c = Math.fround(clipnorm);
    for (const [place, staged] of gradients.entries()) {
      const g_norm = Math.fround(Math.sqrt(squares[place] as number));
      extend(lines, staged, { lines: [CLIP_NORM], uniforms: { clipnorm: c, g__norm: g_norm } });
      factor = Math.min(factor, c / Math.max(g_norm, c));
    }
  }
  if (global_clipnorm !== null) {
    // As in Keras, both norm clips together are possible only by setting attributes later.
    if (clipnorm !== null) {
      squares = clipped((staged) => lines.get(staged) as FusedLines);
    }
    // As in TensorFlow's global_norm: halved squares are summed in float32 and doubled under the root.
    const halves = squares.reduce((sum, each) => Math.fround(sum + Math.fround(each / 2)), 0);
    const total = Math.fround(Math.sqrt(Math.fround(halves * 2)));
    const values = { total, global_clipnorm: Math.fround(global_clipnorm) };
    const { clip_scale = 1 } = evaluateScalars(
      program({ lines: GLOBAL_SCALE, uniforms: Object.keys(values) }),
      values,
    );
    for (const staged of gradients) {
      extend(lines, staged, { lines: [GLOBAL_CLIP], uniforms: { clip__scale: clip_scale } });
    }
    factor *= clip_scale;
  }
  return { lines, factor };
}

function extend(lines: Map<Staged, FusedLines>, staged: Staged, more: FusedLines): void {
  lines.set(staged, joined(lines.get(staged) as FusedLines, more));
}

/** Sum of squares of the gradient after the lines are applied, in float32. */
function squaresOf({ state, runner }: StepContext, staged: Staged, { lines, uniforms }: FusedLines): number {
  const { g_squares = 0 } = runner(state.arena, {
    kernel: program({
      lines: [...lines, "g_squares = squares(g)"],
      tensors: ["g"],
      uniforms: Object.keys(uniforms),
    })
      .kernel(),
    tensors: { g: staged.values },
    rowCount: 1,
    rowLength: staged.count,
    uniforms,
  });
  return g_squares;
}
