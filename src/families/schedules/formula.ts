/**
 * A rate as a formula over the iterations before the step, `t`, and after it, `T = t + 1`. It serves as Keras'
 * callable learning rate.
 *
 * Variant: float32 after every operation, in the order written. Subnormal results become 0.
 */
import { z } from "zod";
import { Program } from "../../../kernels/compiler/compile.ts";
import { evaluateScalars } from "../../../kernels/compiler/runner.ts";
import type { Config } from "../mechanism/family.ts";
import { checkExpression } from "../mechanism/formula_config.ts";
import { f32, schedule, scheduleName } from "./schedule.ts";

const NAMES = ["t", "T"];

export const formula = schedule({
  class_name: "Formula",
  summary: "A formula over t, the iterations before the step, and T, those after it.",
  fields: {
    expression: z.string().describe("The rate, for example 0.1 / sqrt(T)."),
    name: scheduleName(),
  },
  formulas: ["expression"],
  check: ({ expression }) => checkExpression("expression", expression, NAMES),
  value(config, step) {
    const { rate = 0 } = evaluateScalars(programOf(config), { t: step, T: f32(step + 1) });
    return rate;
  },
});

/** Compiled formulas by config, which stays the same object while it is in use. */
const programs = new WeakMap<Config, Program>();

function programOf(config: Config & { readonly expression: string }): Program {
  let program = programs.get(config);
  if (!program) {
    program = new Program([`rate = ${config.expression}`], { tensors: [], stored: [], uniforms: NAMES });
    programs.set(config, program);
  }
  return program;
}
