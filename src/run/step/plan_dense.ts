/**
 * Plans the step of a dense gradient: clips, transformers, rule and elementwise constraint become one kernel, unless
 * centralization, noise or a high load separates them.
 */
import { stretches } from "../../../kernels/routines/axes.ts";
import { planConstraint } from "./plan_constraint.ts";
import type { Instruction } from "./instruction.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import {
  type Between,
  constraintLines,
  type FusedLines,
  isLight,
  joined,
  linesCall,
  loadOfRule,
  NOTHING,
  type RuleStep,
  type StepContext,
  transformerParts,
  wholeCall,
} from "./fused_lines.ts";
import type { StagedDense } from "../staging/staged.ts";

export function planDense(step: RuleStep, staged: StagedDense, clip: FusedLines): Instruction[] {
  const { context, rule } = step;
  const { variable } = staged;
  const instructions: Instruction[] = [];
  let waiting = clip;
  for (const transformer of transformerParts(context)) {
    if ("lines" in transformer) {
      const both = joined(waiting, transformer);
      if (!isLight(both)) instructions.push(...linesCall(step, staged, waiting));
      waiting = isLight(both) ? both : transformer;
      continue;
    }
    const between = planBetween(context, staged, transformer);
    if (between.length === 0) continue;
    instructions.push(...linesCall(step, staged, waiting), ...between);
    waiting = NOTHING;
  }
  if (!isLight(waiting)) {
    instructions.push(...linesCall(step, staged, waiting));
    waiting = NOTHING;
  }
  let update = joined(waiting, { lines: rule.dense, uniforms: NOTHING.uniforms });
  const constraint = constraintLines(variable);
  // A reduction in the constraint would make a kernel run the rule again, so a costly rule is kept apart.
  const isApart = constraint &&
    (!isLight(constraint) ||
      (constraint.load.reductions > 0 && !isLight({ load: loadOfRule(step, variable) })));
  if (constraint && !isApart) update = joined(update, constraint);
  instructions.push(wholeCall(step, variable, { ...update, g: staged.values }));
  if (isApart) instructions.push(wholeCall(step, variable, constraint));
  return [...instructions, ...planConstraint(variable, (bytes) => context.staging.allocate(bytes))];
}

function planBetween(context: StepContext, staged: StagedDense, what: Between): Instruction[] {
  const { variable, values: offset, count } = staged;
  if (what.kind === "mean") return variable.shape.length >= 2 ? planCentralize(context, staged) : [];
  const noise = { ...what.noise, variable: variable.index };
  return [{ kind: "noise", offset, count, noise }];
}

/** g − mean of g over all axes but the last. */
function planCentralize({ staging }: StepContext, { variable, values }: StagedDense): Instruction[] {
  const axes = variable.shape.slice(0, -1).map((_, axis) => axis);
  const { count } = stretches(variable.shape, axes);
  const result = staging.allocate(4 * count);
  return [
    {
      kind: "axes",
      reduce: "mean",
      at: { tensor: values, result, scratch: staging.allocate(8 * count), shape: variable.shape, axes },
    },
    {
      kind: "call",
      call: {
        kernel: program({ lines: ["g = g - average"], tensors: ["g", "average"], stored: ["g"] }).kernel({
          average: { access: "repeat" },
        }),
        tensors: { g: values, average: result },
        rowCount: count === 0 ? 0 : variable.count / count,
        rowLength: count,
        uniforms: {},
      },
    },
  ];
}
