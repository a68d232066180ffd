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
import { figuresOfVariables } from "../answers/norms.ts";
import type { VariableFigures } from "../api/steps.ts";
import type { Staged } from "../staging/staged.ts";
import type { FusedLines, RuleStep, StepContext } from "./fused_lines.ts";
import { wideGradients } from "./plan_wide.ts";
import type { RunState, VariableState } from "../tensors/state.ts";

export interface StepPlan {
  readonly instructions: readonly Instruction[];
  /** By group. */
  readonly learningRates: readonly number[];
  /** L2 norms of all gradients together and of each, before any clip or transformer. */
  readonly gradientNorm: number;
  readonly variableFigures: VariableFigures;
  /** The smallest factor by which a norm clip scales a gradient; 1 without one. */
  readonly clipFactor: number;
  /** By group: the optimizer's scalar state after the step. */
  readonly scalars: readonly Uniforms[];
  readonly rules: readonly Rule[];
  /** The variables that the step changes, in the order of the body. */
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

/** What a group's step computes before anything else. */
function ruleStep(context: StepContext, group: number): RuleStep & { readonly own: Uniforms } {
  const { state } = context, optimizer = context.optimizers[group] as Optimizer;
  const { rule, numbers } = derive(optimizer);
  const base: Uniforms = {
    ...numbers,
    ...numbersOfStep(optimizer, state.iterations),
    ...state.scalars[group],
    learning_rate: learningRate(optimizer, state.iterations),
    t: state.iterations,
    T: state.iterations + 1,
  };
  const own = rule.scalars
    ? evaluateScalars(program({ lines: rule.scalars, uniforms: Object.keys(base) }), base)
    : {};
  return { context, rule, base: { ...base, ...own }, own };
}

/** Plans the step that applies everything in `staging`. Throws out_of_memory if scratch memory does not fit. */
export function planStep(context: StepContext): StepPlan {
  const { state, optimizers, staging } = context;
  const steps = optimizers.map((_, group) => ruleStep(context, group));
  const { planned, variables, squares } = gradientsOf(context, steps);
  const clip = planClip(context, planned, squares);
  const instructions = planned.flatMap((staged) => {
    const lines = clip.lines.get(staged) as FusedLines, step = steps[staged.variable.group] as RuleStep;
    const moved = staged.kind === "dense" ? planDense(step, staged, lines) : planSparse(step, staged, lines);
    return [...firstSlots(state, step.rule, staged.variable), ...moved];
  });
  return {
    instructions,
    learningRates: steps.map(({ base }) => base["learning_rate"] as number),
    gradientNorm: Math.sqrt(sum(squares)),
    variableFigures: figuresOfVariables(variables, rootsOf(squares)),
    clipFactor: clip.factor,
    scalars: steps.map(({ rule, own }, group) =>
      Object.fromEntries(
        Object.keys(rule.state ?? {}).map((name) => [name, own[name] ?? state.scalars[group]?.[name] ?? 0]),
      )
    ),
    rules: steps.map(({ rule }) => rule),
    variables: staging.arrived.filter(({ role }) => role === "optimize"),
  };
}

function rootsOf(squares: Gradients["squares"]): Gradients["squares"] {
  return squares instanceof Float64Array ? squares.map(Math.sqrt) : squares.map(Math.sqrt);
}

function sum(numbers: ArrayLike<number>): number {
  let total = 0;
  for (let place = 0; place < numbers.length; place++) total += numbers[place] as number;
  return total;
}

interface Gradients {
  /** What is planned as one: the gradient of a variable, or of a span of variables. */
  readonly planned: readonly Staged[];
  /** In the run's order. */
  readonly variables: readonly VariableState[];
  /** The sum of squares of each variable's gradient. */
  readonly squares: Float64Array | readonly number[];
}

function gradientsOf({ staging, state }: StepContext, steps: readonly RuleStep[]): Gradients {
  const { together, apart } = staging;
  const wide = together && wideGradients(steps, together);
  if (wide && apart.size === 0) {
    return { planned: wide, variables: together.arrangement.variables, squares: together.squares };
  }
  const gradients = state.optimized.flatMap(({ name }) => staging.tensors.get(name) ?? []);
  return {
    planned: wide ? [...gradients.filter(({ variable }) => apart.has(variable.name)), ...wide] : gradients,
    variables: gradients.map(({ variable }) => variable),
    squares: gradients.map(({ squares }) => squares),
  };
}

/** Copies the variable to the slots that start as it, before its first gradient changes it. */
function firstSlots(state: RunState, rule: Rule, variable: VariableState): Instruction[] {
  const { offset: from, count } = variable;
  return state.startingAs(rule, variable)
    .map((slot) => ({ kind: "copy", from, offset: variable.slotOffset(slot), count }));
}
