/**
 * Applies a rule to plain Float32Arrays, element by element through the op table. It is slow, but sufficient to
 * compare rules with known vectors without compiling or planning. Rows of a sparse gradient are merged as in a run.
 */
import { type Expression, parseFormula } from "../../../kernels/language/formula_syntax.ts";
import { COMBINE, REDUCTIONS } from "../../../kernels/language/formula_reductions.ts";
import type { Expander } from "../../../kernels/language/op_row.ts";
import { OPS } from "../../../kernels/language/ops.ts";
import {
  learningRate,
  numbersOfStep,
  type Optimizer,
  ruleOf,
  uniforms,
} from "../../../src/families/optimizers/optimizer.ts";

export type Gradient = { dense: number[] } | { indices: number[]; rows: number[][] };

type Scalars = Record<string, number>;
type Tensors = Record<string, Float32Array>;

/** One variable under one optimizer. */
export class Applied {
  readonly tensors: Tensors;
  readonly #optimizer: Optimizer;
  readonly #rowLength: number;
  #state: Scalars;
  #iterations = 0;

  constructor(optimizer: Optimizer, initial: number[], rowLength = initial.length) {
    const { slots, state = {} } = ruleOf(optimizer);
    const filled = Object.entries(slots)
      .map(([name, value]) => [name, initial.map((w) => value === "w" ? w : value)] as const);
    this.tensors = Object.fromEntries(
      [["w", initial] as const, ...filled].map(([name, values]) => [name, Float32Array.from(values)]),
    );
    this.#optimizer = optimizer;
    this.#rowLength = rowLength;
    this.#state = { ...state };
  }

  step(gradient: Gradient): void {
    const rule = ruleOf(this.#optimizer);
    const scalars: Scalars = {
      ...uniforms(this.#optimizer),
      ...numbersOfStep(this.#optimizer, this.#iterations),
      ...this.#state,
      learning_rate: learningRate(this.#optimizer, this.#iterations),
      t: this.#iterations,
      T: this.#iterations + 1,
    };
    runLines(rule.scalars ?? [], { tensors: {}, scalars, places: [] });
    for (const name of Object.keys(this.#state)) this.#state[name] = scalars[name] as number;

    const everywhere = Array.from({ length: this.tensors["w"]?.length ?? 0 }, (_, place) => place);
    const call = (lines: readonly string[], places: number[], g?: number[]) => {
      const gradients: Tensors = g ? { g: scatter(g, places, everywhere.length) } : {};
      runLines(lines, { tensors: { ...this.tensors, ...gradients }, scalars: { ...scalars }, places });
    };
    if ("dense" in gradient) call(rule.dense, everywhere, gradient.dense);
    else if (rule.sparseAsDense) call(rule.dense, everywhere, this.#asDense(gradient));
    else {
      const rowPlaces = (row: number) =>
        Array.from({ length: this.#rowLength }, (_, at) => row * this.#rowLength + at);
      const merged = rule.sparse?.scatter ? zip(gradient) : merge(gradient);
      const scalarRows = this.#rowLength === 1 ? rule.sparseScalarRows : undefined;
      call(rule.sparse?.all ?? [], everywhere);
      for (const [row, g] of merged) call(scalarRows ?? rule.sparse?.rows ?? rule.dense, rowPlaces(row), g);
      call(rule.sparse?.after ?? [], everywhere);
    }
    this.#iterations += 1;
  }

  #asDense(gradient: { indices: number[]; rows: number[][] }): number[] {
    const dense = new Array<number>(this.tensors["w"]?.length ?? 0).fill(0);
    for (const [row, values] of merge(gradient)) {
      dense.splice(row * this.#rowLength, values.length, ...values);
    }
    return dense;
  }
}

function zip({ indices, rows }: { indices: number[]; rows: number[][] }): [number, number[]][] {
  return indices.map((row, at) => [row, rows[at] as number[]]);
}

function merge(gradient: { indices: number[]; rows: number[][] }): [number, number[]][] {
  const sums = new Map<number, number[]>();
  for (const [row, values] of zip(gradient)) {
    const sum = sums.get(row) ?? values.map(() => 0);
    sums.set(row, values.map((value, at) => Math.fround((sum[at] as number) + Math.fround(value))));
  }
  return [...sums];
}

function scatter(values: number[], places: number[], length: number): Float32Array {
  const tensor = new Float32Array(length);
  places.forEach((place, at) => tensor[place] = values[at] as number);
  return tensor;
}

/** Subnormal results are stored as zero with their sign, as in TensorFlow. */
function flush(value: number): number {
  return Math.abs(value) < 2 ** -126 ? value * 0 : value;
}

/** Runs lines in order. A name that a line defines per element is a tensor from then on. */
export function runLines(
  lines: readonly string[],
  { tensors, scalars, places }: { tensors: Tensors; scalars: Scalars; places: number[] },
): void {
  const values: Record<string, Map<number, number> | number> = { ...scalars };
  for (const [name, tensor] of Object.entries(tensors)) {
    values[name] = new Map(places.map((place) => [place, tensor[place] as number]));
  }
  const evaluate = (from: Expression): Map<number, number> | number => {
    if (from.kind === "number") return Math.fround(from.value);
    if (from.kind === "name") {
      const value = values[from.name];
      if (value === undefined) throw new Error(`Unknown name ${from.name}`);
      return value;
    }
    const args = from.args.map(evaluate);
    const reduction = REDUCTIONS.get(from.op);
    if (reduction) {
      const terms = [...(args[0] as Map<number, number>).values()];
      return reduction.finish(
        terms.map((x) => reduction.of ? reduction.of(NUMBERS, x) : x)
          .reduce((total, x) => COMBINE[reduction.combine](total, x), 0),
        terms.length,
      );
    }
    const each = (place: number) => {
      const [a = 0, b = 0, c = 0] = args.map((arg) =>
        typeof arg === "number" ? arg : arg.get(place) as number
      );
      return compute(from.op, a, b, c);
    };
    return args.some((arg) => typeof arg !== "number")
      ? new Map(places.map((place) => [place, each(place)]))
      : each(0);
  };
  for (const { target, expression } of parseFormula(lines)) values[target] = evaluate(expression);
  for (const [name, value] of Object.entries(values)) {
    const tensor = tensors[name];
    if (tensor && typeof value !== "number") {
      for (const [place, element] of value) tensor[place] = flush(element);
    } else if (!tensor && typeof value === "number") scalars[name] = value;
  }
}

/** Numbers instead of nodes. */
const NUMBERS: Expander = { number: Math.fround, apply: (op, a = 0, b = 0, c = 0) => compute(op, a, b, c) };

/** The op table's reference semantics; ops defined in terms of others are expanded here. */
function compute(op: string, a: number, b: number, c: number): number {
  if (op === "sign") return a > 0 ? 1 : a < 0 ? -1 : a;
  if (op === "clamp") return Math.max(Math.min(a, c), b);
  if (op === "mod") return Math.fround(a - Math.fround(b * Math.floor(Math.fround(a / b))));
  const evaluate = OPS.get(op)?.evaluate;
  if (!evaluate) throw new Error(`Unknown op ${op}`);
  return evaluate(a, b, c);
}
