/**
 * A dense gradient → the calls of its step: clips, transformers, rule and elementwise constraint are one kernel, unless
 * centralization stands between them.
 */
import { stretches } from "../../kernels/axes.ts";
import { planConstraint } from "./constrain.ts";
import type { Instruction } from "./instruction.ts";
import { program } from "./programs.ts";
import {
  joined,
  NOTHING,
  type RuleStep,
  settle,
  type Stage,
  type StepContext,
  transformerStages,
  wholeCall,
} from "./stage.ts";
import type { StagedDense } from "./staging.ts";

export function planDense(step: RuleStep, staged: StagedDense, clip: Stage): Instruction[] {
  const { context, rule } = step;
  const { variable } = staged;
  const instructions: Instruction[] = [];
  let stage = clip;
  for (const transformer of transformerStages(context)) {
    if (transformer !== "mean") stage = joined(stage, transformer);
    else if (variable.shape.length >= 2) {
      instructions.push(...settle(step, staged, stage), ...planCentralize(context, staged));
      stage = NOTHING;
    }
  }
  const { constraint } = variable;
  stage = joined(stage, { lines: rule.dense, uniforms: NOTHING.uniforms });
  if (constraint?.rule.kind === "elementwise") {
    stage = joined(stage, { lines: constraint.rule.lines, uniforms: constraint.uniforms });
  }
  instructions.push(wholeCall(step, variable, { ...stage, g: staged.values }));
  return [...instructions, ...planConstraint(variable, (bytes) => context.staging.allocate(bytes))];
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
        kernel: program(["g = g - average"], ["g", "average"], ["g"], []).kernel({
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
