/**
 * Plans the instructions of one step, in Keras' order: clipvalue → clipnorm → global_clipnorm → gradient transformers
 * → optimizer rule → constraint.
 *
 * Planning reads gradients, never variables or slots, and allocates all scratch memory; performing a plan cannot
 * fail. Elementwise operations become lines in the rule's kernel, so that each array is read once and written once.
 */
import { evaluateScalars } from "../../../kernels/compiler/runner.ts";
import type { Rule } from "../../families/optimizers/member/optimizer_member.ts";
import {
  learningRate,
  numbersOfStep,
  type Optimizer,
  ruleOf,
  uniforms,
} from "../../families/optimizers/optimizer.ts";
import { planClip } from "./plan_clip.ts";
import { planDense } from "./plan_dense.ts";
import type { Instruction } from "./instruction.ts";
import { program } from "../../../kernels/compiler/programs.ts";
import { planSparse } from "./plan_sparse.ts";
import type { Uniforms } from "../spec/spec.ts";
import type { FusedLines, StepContext } from "./fused_lines.ts";
import type { RunState, VariableState } from "../tensors/state.ts";

export interface StepPlan {
  readonly instructions: readonly Instruction[];
  readonly learningRate: number;
  /** L2 norms of all gradients together and of each, before any clip or transformer. */
  readonly gradientNorm: number;
  readonly variableNorms: ReadonlyMap<string, number>;
  /** The smallest factor by which a norm clip scales a gradient; 1 without one. */
  readonly clipFactor: number;
  /** The optimizer's scalar state after the step. */
  readonly scalars: Uniforms;
  readonly rule: Rule;
  /** The variables that the step changes, in the order of the gradients. */
  readonly variables: readonly VariableState[];
}

interface Derived {
  readonly rule: Rule;
  readonly numbers: Uniforms;
}

/**
 * Cache of data derived from the optimizer's attributes. They change seldom, and each change makes a new Optimizer.
 */
const derived = new WeakMap<Optimizer, Derived>();

function derive(optimizer: Optimizer): Derived {
  let found = derived.get(optimizer);
  if (!found) derived.set(optimizer, found = { rule: ruleOf(optimizer), numbers: uniforms(optimizer) });
  return found;
}

/** Plans the step that applies everything in `staging`. Throws out_of_memory if scratch memory does not fit. */
export function planStep(context: StepContext): StepPlan {
  const { state, optimizer, staging } = context;
  const { rule, numbers } = derive(optimizer);
  const rate = learningRate(optimizer, state.iterations);
  const base: Uniforms = {
    ...numbers,
    ...numbersOfStep(optimizer, state.iterations),
    ...state.scalars,
    learning_rate: rate,
    t: state.iterations,
    T: state.iterations + 1,
  };
  const scalars = rule.scalars
    ? evaluateScalars(program({ lines: rule.scalars, uniforms: Object.keys(base) }), base)
    : {};
  const gradients = state.optimized.flatMap(({ name }) => staging.tensors.get(name) ?? []);
  const clip = planClip(context, gradients);
  const step = { context, rule, base: { ...base, ...scalars } };
  const instructions = gradients.flatMap((staged) => {
    const lines = clip.lines.get(staged) as FusedLines;
    const moved = staged.kind === "dense" ? planDense(step, staged, lines) : planSparse(step, staged, lines);
    return [...firstSlots(state, rule, staged.variable), ...moved];
  });
  const squares = gradients.reduce((sum, staged) => sum + staged.squares, 0);
  return {
    instructions,
    learningRate: rate,
    gradientNorm: Math.sqrt(squares),
    variableNorms: new Map(gradients.map((staged) => [staged.variable.name, Math.sqrt(staged.squares)])),
    clipFactor: clip.factor,
    scalars: Object.fromEntries(
      Object.keys(rule.state ?? {}).map((name) => [name, scalars[name] ?? state.scalars[name] ?? 0]),
    ),
    rule,
    variables: [...staging.tensors.values()].map(({ variable }) => variable)
      .filter(({ role }) => role === "optimize"),
  };
}

/** Copies the variable to the slots that start as it, before its first gradient changes it. */
function firstSlots(state: RunState, rule: Rule, variable: VariableState): Instruction[] {
  const { offset: from, count, slots } = variable;
  return state.startingAs(rule, variable)
    .map((slot) => ({ kind: "copy", from, offset: slots.get(slot) as number, count }));
}
