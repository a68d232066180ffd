/**
 * Lines that wait to be put before an optimizer's own, with the numbers they name: clips, transformers, constraints
 * that work element by element. And the calls that such lines become.
 */
import type { Noise } from "../../../kernels/noise/noise.ts";
import type { Runner } from "../../../kernels/compiler/plan.ts";
import { type Load, loadOf } from "../../families/mechanism/user_formula.ts";
import { withOwnNames } from "../../families/mechanism/formula_config.ts";
import type { Rule } from "../../families/optimizers/optimizer_member.ts";
import type { Optimizer } from "../../families/optimizers/optimizer.ts";
import type { Instruction } from "./instruction.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import type { ResolvedSpec, Uniforms } from "../spec/spec.ts";
import type { ArenaStaging, Staged } from "../staging/staging.ts";
import type { RunState, VariableState } from "../tensors/state.ts";

/** What planning one step needs to know and where it may put scratch. */
export interface StepContext {
  readonly state: RunState;
  readonly spec: ResolvedSpec;
  readonly optimizer: Optimizer;
  readonly staging: ArenaStaging;
  readonly run: Runner;
}

/** One optimizer step over all gradients: its rule, and the numbers that every line may name. */
export interface RuleStep {
  readonly context: StepContext;
  readonly rule: Rule;
  readonly base: Uniforms;
}

/** Lines before the rule, and the numbers they name. */
export interface Stage {
  readonly lines: readonly string[];
  readonly uniforms: Uniforms;
  /** Of lines that users write or combine at will. */
  readonly load?: Load | undefined;
}

export const NOTHING: Stage = { lines: [], uniforms: {} };

/** `a`, then `b`. */
export function joined(a: Stage, b: Stage): Stage {
  if (a === NOTHING) return b;
  const load = added(a.load, b.load);
  return { lines: [...a.lines, ...b.lines], uniforms: { ...a.uniforms, ...b.uniforms }, load };
}

function added(a: Load | undefined, b: Load | undefined): Load | undefined {
  if (!a || !b) return a ?? b;
  return {
    operations: a.operations + b.operations,
    calls: a.calls + b.calls,
    reductions: a.reductions + b.reductions,
  };
}

/**
 * Whether lines may share a kernel with others. Every pass of a kernel repeats what it needs of the passes before: what
 * takes long, or has many reductions, gets a kernel of its own, or else parts would multiply.
 */
export function isLight({ load }: { readonly load?: Load | undefined }): boolean {
  return !load || (load.operations <= 128 && load.calls === 0 && load.reductions <= 4);
}

/** The lines of a constraint that works element by element; undefined: it does not. */
export function constraintStage({ constraint }: VariableState): Stage & { load: Load } | undefined {
  if (constraint?.rule.kind !== "elementwise") return undefined;
  const { rule: { lines }, uniforms } = constraint;
  return { lines, uniforms, load: loadOf(program(lines, ["w"], ["w"], Object.keys(uniforms)).graph) };
}

/** Whether the rule's lines are light. */
export function isLightRule({ rule, base }: RuleStep, variable: VariableState): boolean {
  const stored = Object.keys(tensorsOf(variable));
  return isLight({ load: loadOf(program(rule.dense, [...stored, "g"], stored, Object.keys(base)).graph) });
}

/** What a transformer does that cannot be a line: it stands between two kernels. */
export type Between =
  | { readonly kind: "mean" }
  | { readonly kind: "noise"; readonly noise: Omit<Noise, "variable"> };

/** Lines that no step changes, by place. */
const stagesOfSpec = new WeakMap<ResolvedSpec["transformers"], readonly (Stage | undefined)[]>();

function lineStages(transformers: ResolvedSpec["transformers"]): readonly (Stage | undefined)[] {
  let stages = stagesOfSpec.get(transformers);
  if (!stages) {
    stages = transformers.map(({ member, config }, place) => {
      const { rule } = member;
      const lines = rule.kind === "formula"
        ? config["lines"] as string[]
        : rule.kind === "lines"
        ? rule.lines
        : [];
      if (lines.length === 0) return undefined;
      const stage = withOwnNames(lines, member.uniforms(config), {
        keep: ["g", "w", "t", "T"],
        suffix: String(place),
      });
      const uniforms = ["t", "T", ...Object.keys(stage.uniforms)];
      return { ...stage, load: loadOf(program(stage.lines, ["g", "w"], ["g"], uniforms).graph) };
    });
    stagesOfSpec.set(transformers, stages);
  }
  return stages;
}

/**
 * The lines of the run's transformers. Their numbers, and what they make of them, get names of their own, so that two
 * of a kind, or one that shares a name with a hyperparameter, do not meet. Noise has a stream of its own by place; stream 0 is for rounds.
 */
export function transformerStages({ spec, state }: StepContext): (Stage | Between)[] {
  return spec.transformers.map(({ member, config }, place) => {
    if (member.rule.kind === "axis_mean") return { kind: "mean" };
    if (member.rule.kind === "noise") {
      const { stddev, seed } = member.uniforms(config) as { stddev: number; seed: number };
      return { kind: "noise", noise: { seed, stream: 1 + place, iteration: state.iterations, stddev } };
    }
    return lineStages(spec.transformers)[place] as Stage;
  });
}

/** Byte offsets of a variable and its slots, by the names that lines use. */
export function tensorsOf(variable: VariableState): Record<string, number> {
  return { w: variable.offset, ...Object.fromEntries(variable.slots) };
}

/** A call of `lines` over the whole variable, `g` beside it where there is one. */
export function wholeCall(
  { base }: RuleStep,
  variable: VariableState,
  part: Stage & { g?: number },
): Instruction {
  const tensors = tensorsOf(variable);
  const stored = Object.keys(tensors);
  const values = { ...base, ...part.uniforms };
  const names = part.g === undefined ? stored : [...stored, "g"];
  return {
    kind: "call",
    call: {
      kernel: program(part.lines, names, stored, Object.keys(values)).kernel(),
      tensors: part.g === undefined ? tensors : { ...tensors, g: part.g },
      rowCount: 1,
      rowLength: variable.count,
      uniforms: values,
    },
  };
}

/** Carries out the lines of `stage` on the staged gradient itself. */
export function settle(step: RuleStep, staged: Staged, { lines, uniforms: numbers }: Stage): Instruction[] {
  if (lines.length === 0) return [];
  const values = { ...step.base, ...numbers };
  return [{
    kind: "call",
    call: {
      kernel: program(lines, ["g", "w"], ["g"], Object.keys(values)).kernel(),
      tensors: { g: staged.values, w: staged.variable.offset },
      rowCount: 1,
      rowLength: staged.count,
      uniforms: values,
    },
  }];
}
