/**
 * Formula lines that are fused with those of an optimizer's rule: clips, transformers and elementwise constraints,
 * with the numbers that they name. Also the kernel calls that are made of such lines.
 */
import type { Noise } from "../../../kernels/noise/noise.ts";
import type { Runner } from "../../../kernels/compiler/runner.ts";
import { type Load, loadOf } from "../../families/mechanism/user_formula.ts";
import { withOwnNames } from "../../families/mechanism/formula_config.ts";
import type { Rule } from "../../families/optimizers/member/optimizer_member.ts";
import type { Optimizer } from "../../families/optimizers/optimizer.ts";
import type { Instruction } from "./instruction.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import type { ResolvedSpec, Uniforms } from "../spec/spec.ts";
import type { Staged } from "../staging/staged.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { RunState, VariableState } from "../tensors/state.ts";

/** The inputs for planning one step. Scratch memory is allocated in `staging`. */
export interface StepContext {
  readonly state: RunState;
  readonly spec: ResolvedSpec;
  /** By group; the first one's clips are the run's. */
  readonly optimizers: readonly [Optimizer, ...Optimizer[]];
  readonly staging: ArenaStaging;
  readonly runner: Runner;
}

/** A step of a group's optimizer: its rule, and the numbers that every line may name. */
export interface RuleStep {
  readonly context: StepContext;
  readonly rule: Rule;
  readonly base: Uniforms;
}

/** Lines that share a kernel with the rule's, and the numbers that they name. */
export interface FusedLines {
  readonly lines: readonly string[];
  readonly uniforms: Uniforms;
  /** The load of the lines; given if users write or combine them freely. */
  readonly load?: Load | undefined;
}

export const NOTHING: FusedLines = { lines: [], uniforms: {} };

/** `a`, then `b`. */
export function joined(a: FusedLines, b: FusedLines): FusedLines {
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
 * Whether lines may share a kernel with others. Every pass of a kernel recomputes the values that it needs from
 * earlier passes, so lines with a high load or many reductions get a kernel of their own.
 */
export function isLight({ load }: { readonly load?: Load | undefined }): boolean {
  return !load || (load.operations <= 128 && load.calls === 0 && load.reductions <= 4);
}

/** The lines of an elementwise constraint; undefined for any other. */
export function constraintLines({ constraint }: VariableState): FusedLines & { load: Load } | undefined {
  if (constraint?.rule.kind !== "elementwise") return undefined;
  const { rule: { lines }, uniforms } = constraint;
  return {
    lines,
    uniforms,
    load: loadOf(program({ lines, tensors: ["w"], stored: ["w"], uniforms: Object.keys(uniforms) }).graph),
  };
}

/** The load of the rule's lines. */
export function loadOfRule({ rule, base }: RuleStep, variable: VariableState): Load {
  const stored = Object.keys(tensorsOf(variable));
  const tensors = [...stored, "g"], uniforms = Object.keys(base);
  return loadOf(program({ lines: rule.dense, tensors, stored, uniforms }).graph);
}

/** A transformer that cannot be written as lines: it runs between two kernels. */
export type Between =
  | { readonly kind: "mean" }
  | { readonly kind: "noise"; readonly noise: Omit<Noise, "variable"> };

/** The lines of a run's transformers, by index; no step changes them. */
const cachedLines = new WeakMap<ResolvedSpec["transformers"], readonly (FusedLines | undefined)[]>();

function linesOfSpec(transformers: ResolvedSpec["transformers"]): readonly (FusedLines | undefined)[] {
  let found = cachedLines.get(transformers);
  if (!found) {
    found = transformers.map(({ member, config }, place) => {
      const { rule } = member;
      const lines = rule.kind === "formula"
        ? config["lines"] as string[]
        : rule.kind === "lines"
        ? rule.lines
        : [];
      if (lines.length === 0) return undefined;
      const own = withOwnNames(lines, member.uniforms(config), {
        keep: ["g", "w", "t", "T"],
        suffix: String(place),
      });
      const uniforms = ["t", "T", ...Object.keys(own.uniforms)];
      return {
        ...own,
        load: loadOf(program({ lines: own.lines, tensors: ["g", "w"], stored: ["g"], uniforms }).graph),
      };
    });
    cachedLines.set(transformers, found);
  }
  return found;
}

/**
 * The run's transformers, in order. The names in their lines are made unique, so that they do not collide with those
 * of another transformer of the same kind or with hyperparameters. Each noise has its own stream; stream 0 is for
 * rounds.
 */
export function transformerParts({ spec, state }: StepContext): (FusedLines | Between)[] {
  return spec.transformers.map(({ member, config }, place) => {
    if (member.rule.kind === "axis_mean") return { kind: "mean" };
    if (member.rule.kind === "noise") {
      const { stddev, seed } = member.uniforms(config) as { stddev: number; seed: number };
      return { kind: "noise", noise: { seed, stream: 1 + place, iteration: state.iterations, stddev } };
    }
    return linesOfSpec(spec.transformers)[place] as FusedLines;
  });
}

/** Byte offsets of a variable and its slots, by the names that lines use. */
export function tensorsOf(variable: VariableState): Record<string, number> {
  const tensors: Record<string, number> = { w: variable.offset };
  for (const [slot, offset] of variable.home.slots) tensors[slot] = offset + variable.place;
  return tensors;
}

/** A call of `lines` over the whole variable, and over `g` if it is given. */
export function wholeCall(
  { base }: RuleStep,
  variable: VariableState,
  part: FusedLines & { g?: number },
): Instruction {
  const tensors = tensorsOf(variable);
  const stored = Object.keys(tensors);
  const values = { ...base, ...part.uniforms };
  const names = part.g === undefined ? stored : [...stored, "g"];
  return {
    kind: "call",
    call: {
      kernel: program({ lines: part.lines, tensors: names, stored, uniforms: Object.keys(values) }).kernel(),
      tensors: part.g === undefined ? tensors : { ...tensors, g: part.g },
      rowCount: 1,
      rowLength: variable.count,
      uniforms: values,
    },
  };
}

/** A call that applies the lines to the staged gradient in place; empty if there are no lines. */
export function linesCall(
  step: RuleStep,
  staged: Staged,
  { lines, uniforms: numbers }: FusedLines,
): Instruction[] {
  if (lines.length === 0) return [];
  const values = { ...step.base, ...numbers };
  return [{
    kind: "call",
    call: {
      kernel: program({ lines, tensors: ["g", "w"], stored: ["g"], uniforms: Object.keys(values) }).kernel(),
      tensors: { g: staged.values, w: staged.variable.offset },
      rowCount: 1,
      rowLength: staged.count,
      uniforms: values,
    },
  }];
}
