/**
 * Contributions → the kernel calls of one step, in Keras' order: clipvalue → clipnorm → global_clipnorm →
 * gradient transformers → optimizer rule → constraint.
 *
 * Planning reads gradients, never variables or slots, and allocates all scratch; performing a plan cannot fail.
 * Elementwise stages are lines put before the rule's own, so one kernel does them all. Sparse rows are clipped as
 * they came and merged afterwards, as Keras does it; what looks at the variable (weight decay) runs on merged rows.
 */
import { reduceAxes, stretches } from "../../kernels/axes.ts";
import { findUnique, tableBytes } from "../../kernels/dedupe.ts";
import { type Call, evaluateScalars, type Runner } from "../../kernels/plan.ts";
import { learningRate, type Optimizer, ruleOf, uniforms } from "../families/optimizers/optimizer.ts";
import type { Rule } from "../families/optimizers/definition.ts";
import { planConstraint } from "./constrain.ts";
import { program } from "./programs.ts";
import type { ResolvedSpec, Uniforms } from "./spec.ts";
import type { ArenaStaging, Staged, StagedDense, StagedSparse } from "./staging.ts";
import type { RunState, VariableState } from "./state.ts";

/** One thing to do: a kernel call, numbers to fill in, or norms or means over axes. */
export type Instruction =
  | { readonly kind: "call"; readonly call: Call }
  | { readonly kind: "fill"; readonly offset: number; readonly count: number }
  | {
    readonly kind: "axes";
    readonly reduce: "norm" | "mean";
    readonly at: Parameters<typeof reduceAxes>[2];
  };

export interface StepPlan {
  readonly instructions: readonly Instruction[];
  readonly learningRate: number;
  /** L2 norm of all gradients as they came, and of each. */
  readonly gradientNorm: number;
  readonly variableNorms: ReadonlyMap<string, number>;
  /** The smallest factor by which a norm clip scales a gradient; 1 without one. */
  readonly clipFactor: number;
  /** The optimizer's scalar state after the step. */
  readonly scalars: Uniforms;
  readonly rule: Rule;
}

/** What planning one step needs to know and where it may put scratch. */
export interface StepContext {
  readonly state: RunState;
  readonly spec: ResolvedSpec;
  readonly optimizer: Optimizer;
  readonly staging: ArenaStaging;
  readonly run: Runner;
}

const CLIP_VALUE = "g = max(min(g, clipvalue), -clipvalue)";
const CLIP_NORM = "g = (g * clipnorm) / max(g_norm, clipnorm)";
const GLOBAL_CLIP = "g = g * clip_scale";
const GLOBAL_SCALE = ["clip_scale = global_clipnorm * min(1 / total, 1 / global_clipnorm) + (total - total)"];

/** Lines before the rule, and the numbers they name. */
interface Stage {
  readonly lines: readonly string[];
  readonly uniforms: Uniforms;
}

const NOTHING: Stage = { lines: [], uniforms: {} };

interface Prepared {
  readonly rule: Rule;
  readonly numbers: Uniforms;
}

/** What follows from an optimizer's attributes alone: they change seldom, and each change makes a new value. */
const prepared = new WeakMap<Optimizer, Prepared>();

function prepare(optimizer: Optimizer): Prepared {
  let found = prepared.get(optimizer);
  if (!found) prepared.set(optimizer, found = { rule: ruleOf(optimizer), numbers: uniforms(optimizer) });
  return found;
}

/** Plans the step that applies everything in `staging`. Throws out_of_memory when scratch does not fit. */
export function planStep(context: StepContext): StepPlan {
  const { state, optimizer, staging } = context;
  const { rule, numbers } = prepare(optimizer);
  const rate = learningRate(optimizer, state.iterations);
  const base: Uniforms = {
    ...numbers,
    ...state.scalars,
    learning_rate: rate,
    t: state.iterations,
    T: state.iterations + 1,
  };
  const scalars = rule.scalars ? evaluateScalars(program(rule.scalars, [], [], Object.keys(base)), base) : {};
  const gradients = [...state.variables.values()].flatMap(({ name }) => staging.tensors.get(name) ?? []);
  const clip = planClip(context, gradients);
  const step = { context, rule, base: { ...base, ...scalars } };
  const instructions = gradients.flatMap((staged) => {
    const stage = clip.stages.get(staged) as Stage;
    return staged.kind === "dense" ? planDense(step, staged, stage) : planSparse(step, staged, stage);
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
  };
}

/** Performs a plan: the only thing that writes to variables and slots. */
export function performStep(state: RunState, plan: StepPlan, run: Runner): void {
  for (const instruction of plan.instructions) {
    if (instruction.kind === "call") run(state.arena, instruction.call);
    else if (instruction.kind === "fill") state.arena.f32(instruction.offset, instruction.count).fill(0);
    else reduceAxes(state.arena, instruction.reduce, instruction.at);
  }
}

/** The clip lines of every gradient, with norms taken as TensorFlow does: of the stored rows, before merging. */
function planClip(context: StepContext, gradients: readonly Staged[]) {
  const { clipvalue, clipnorm, global_clipnorm } = context.optimizer.current;
  const byValue: Stage = clipvalue === null
    ? NOTHING
    : { lines: [CLIP_VALUE], uniforms: { clipvalue: Math.fround(clipvalue) } };
  const stages = new Map<Staged, Stage>(gradients.map((staged) => [staged, byValue]));
  if (clipnorm === null && global_clipnorm === null) return { stages, factor: 1 };

  let factor = 1;
  let squares = new Map(gradients.map((staged) => [staged, squaresOf(context, staged, byValue)]));
  if (clipnorm !== null) {
    const c = Math.fround(clipnorm);
    for (const [staged, sum] of squares) {
      const g_norm = Math.fround(Math.sqrt(sum));
      extend(stages, staged, { lines: [CLIP_NORM], uniforms: { clipnorm: c, g_norm } });
      factor = Math.min(factor, c / Math.max(g_norm, c));
    }
  }
  if (global_clipnorm !== null) {
    // Both norms at once can only be had by setting attributes later, as in Keras.
    if (clipnorm !== null) {
      squares = new Map(gradients.map((g) => [g, squaresOf(context, g, stages.get(g) as Stage)]));
    }
    // TensorFlow's global_norm: halves of the squares, summed in float32, doubled under the root.
    const halves = [...squares.values()].reduce((sum, each) => Math.fround(sum + Math.fround(each / 2)), 0);
    const total = Math.fround(Math.sqrt(Math.fround(halves * 2)));
    const values = { total, global_clipnorm: Math.fround(global_clipnorm) };
    const { clip_scale = 1 } = evaluateScalars(program(GLOBAL_SCALE, [], [], Object.keys(values)), values);
    for (const staged of gradients) {
      extend(stages, staged, { lines: [GLOBAL_CLIP], uniforms: { clip_scale } });
    }
    factor *= clip_scale;
  }
  return { stages, factor };
}

function extend(stages: Map<Staged, Stage>, staged: Staged, more: Stage): void {
  stages.set(staged, joined(stages.get(staged) as Stage, more));
}

/** Sum of squares of the gradient after `stage`, in float32. */
function squaresOf({ state, run }: StepContext, staged: Staged, stage: Stage): number {
  if (stage.lines.length === 0) return Math.fround(staged.squares);
  const { g_squares = 0 } = run(state.arena, {
    kernel: program([...stage.lines, "g_squares = squares(g)"], ["g"], [], Object.keys(stage.uniforms))
      .kernel(),
    tensors: { g: staged.values },
    rowCount: 1,
    rowLength: staged.count,
    uniforms: stage.uniforms,
  });
  return g_squares;
}

interface RuleStep {
  readonly context: StepContext;
  readonly rule: Rule;
  readonly base: Uniforms;
}

function tensorsOf(variable: VariableState): Record<string, number> {
  return { w: variable.offset, ...Object.fromEntries(variable.slots) };
}

/** A call of `lines` over the whole variable, `g` beside it where there is one. */
function wholeCall({ base }: RuleStep, variable: VariableState, part: Stage & { g?: number }): Instruction {
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

/**
 * The lines of the run's transformers. Their numbers get names of their own, so that two of a kind, or one that
 * shares a name with a hyperparameter, do not meet; "mean" marks where centralization stands.
 */
function transformerStages({ spec }: StepContext): (Stage | "mean")[] {
  return spec.transformers.map(({ member, config }, place) => {
    if (member.rule.kind === "axis_mean") return "mean";
    const numbers = Object.entries(member.uniforms(config));
    const own = (name: string) => `${name}_of_${place}`;
    const lines = member.rule.lines.map((line) =>
      numbers.reduce((text, [name]) => text.replaceAll(new RegExp(`\\b${name}\\b`, "g"), own(name)), line)
    );
    return {
      lines,
      uniforms: Object.fromEntries(numbers.map(([name, value]) => [own(name), Math.fround(value)])),
    };
  });
}

function joined(a: Stage, b: Stage): Stage {
  if (a === NOTHING) return b;
  return { lines: [...a.lines, ...b.lines], uniforms: { ...a.uniforms, ...b.uniforms } };
}

function planDense(step: RuleStep, staged: StagedDense, clip: Stage): Instruction[] {
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

/** Carries out the lines of `stage` on the staged gradient itself. */
function settle(step: RuleStep, staged: Staged, { lines, uniforms: numbers }: Stage): Instruction[] {
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

function planSparse(step: RuleStep, staged: StagedSparse, clip: Stage): Instruction[] {
  const { context, rule } = step;
  const { variable } = staged;
  const before: Instruction[] = settle(step, staged, clip);
  let after = NOTHING;
  for (const stage of transformerStages(context)) {
    // A mean over rows that were not sent would be a guess: centralization leaves sparse gradients alone.
    if (stage === "mean") continue;
    // From the first that looks at the variable on, all work on merged rows, so that their order stays.
    if (after !== NOTHING || readsVariable(stage)) after = joined(after, stage);
    else before.push(...settle(step, staged, stage));
  }
  const rows = rule.sparseScalarRows && variable.rowLength === 1
    ? rule.sparseScalarRows
    : rule.sparse
    ? rule.sparse.rows ?? []
    : rule.dense;
  const merged = rule.sparse?.scatter && after === NOTHING
    ? { indices: staged.indices, values: staged.values, rows: staged.rows, lines: [], instructions: [] }
    : planMerge(context, staged);
  const whole = (lines: readonly string[] = []) =>
    lines.length === 0 ? [] : [wholeCall(step, variable, { lines, uniforms: {} })];
  const clean: Stage = { lines: merged.lines, uniforms: NOTHING.uniforms };
  // Transformers see the variable as it was before the step; lines over all rows may change it (AdamW).
  const transformed = after === NOTHING
    ? []
    : [rowsCall(step, merged, { ...joined(clean, after), variable, stored: ["g"] })];
  const rest = after === NOTHING ? [...merged.lines, ...rows] : rows;
  return [
    ...before,
    ...merged.instructions,
    ...transformed,
    ...whole(rule.sparse?.all),
    rowsCall(step, merged, { lines: rest, uniforms: NOTHING.uniforms, variable }),
    ...whole(rule.sparse?.after),
  ];
}

const readsVariable = ({ lines }: Stage) => lines.some((line) => /\bw\b/.test(line));

interface Rows {
  readonly indices: number;
  readonly values: number;
  readonly rows: number;
}

/** A call of `lines` on listed rows of the variable and its slots (`stored`: all), with the rows of `g` in order. */
function rowsCall(
  { base }: RuleStep,
  { indices, values, rows }: Rows,
  part: Stage & { variable: VariableState; stored?: readonly string[] },
): Instruction {
  const tensors = tensorsOf(part.variable);
  const names = Object.keys(tensors);
  const numbers = { ...base, ...part.uniforms };
  const indexed = Object.fromEntries(names.map((name) => [name, { access: "indexed" as const }]));
  return {
    kind: "call",
    call: {
      kernel: program(part.lines, [...names, "g"], part.stored ?? names, Object.keys(numbers)).kernel(
        indexed,
      ),
      tensors: { ...tensors, g: values },
      rowCount: rows,
      rowLength: part.variable.rowLength,
      indices,
      uniforms: numbers,
    },
  };
}

/**
 * Repeated rows become one: distinct rows in order of first occurrence, each the sum from zero in order. Without
 * repetition the rows stay where they are and only the addition to zero remains (it turns −0 into 0).
 */
function planMerge({ state, staging }: StepContext, staged: StagedSparse) {
  const { rows, variable } = staged;
  const ordinals = staging.allocate(4 * rows), unique = staging.allocate(4 * rows);
  const table = staging.allocate(tableBytes(rows));
  const count = findUnique(state.arena, { indices: staged.indices, count: rows, table, ordinals, unique });
  if (count === rows) {
    return { indices: staged.indices, values: staged.values, rows, lines: ["g = 0 + g"], instructions: [] };
  }
  const sums = staging.allocate(4 * count * variable.rowLength);
  const add: Instruction = {
    kind: "call",
    call: {
      kernel: program(["sum_of_rows = sum_of_rows + g"], ["sum_of_rows", "g"], ["sum_of_rows"], [])
        .kernel({ sum_of_rows: { access: "indexed" } }),
      tensors: { sum_of_rows: sums, g: staged.values },
      rowCount: rows,
      rowLength: variable.rowLength,
      indices: ordinals,
      uniforms: {},
    },
  };
  const clear: Instruction = { kind: "fill", offset: sums, count: count * variable.rowLength };
  return { indices: unique, values: sums, rows: count, lines: [], instructions: [clear, add] };
}
