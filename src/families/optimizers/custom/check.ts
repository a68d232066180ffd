/**
 * Whether the names and formulas of a definition make sense: everything that can be told without a run.
 *
 * Invariant: each line of a definition without issues can be compiled, and only w, slots and state outlive a step.
 */
import { type Expression, FormulaError, type Line, parseFormula } from "../../../../kernels/formula.ts";
import { buildGraph, type Graph, isFunction } from "../../../../kernels/graph.ts";
import { OPS } from "../../../../kernels/ops.ts";
import type { Issue } from "../../../errors.ts";
import { type Definition, DEFINITION_LENGTH_MAX, isName } from "./schema.ts";

/** Nodes of one list's graph. */
const NODES_MAX = 1000;
/** Reductions one upon another: each is a pass over the variable. */
const PASSES_MAX = 8;
/** Powers, exponentials and the like for each element of one list: each takes as long as dozens of additions. */
const HOST_CALLS_MAX = 32;

/** Names that lines have for what the definition does not declare. */
const GIVEN: Readonly<Record<string, string>> = {
  w: "the variable",
  g: "the gradient",
  t: "the iterations before the step",
  T: "the iterations after the step",
};
/** What every config has, or may have, besides hyperparameters. */
const CONFIG_KEYS = new Set(["name", "clipnorm", "clipvalue", "global_clipnorm", "decay", "lr"]);

/** What is wrong with the definition; paths start at it. Nothing: it can be compiled. */
export function checkDefinition(definition: Definition): Issue[] {
  const { length } = JSON.stringify(definition);
  if (length > DEFINITION_LENGTH_MAX) {
    return [{ path: "", message: `has ${length} characters, must have at most ${DEFINITION_LENGTH_MAX}` }];
  }
  const issues = checkNames(definition);
  // What lines mean is not certain while a name means two things.
  return issues.length > 0 ? issues : new Lists(definition).check();
}

function checkNames({ hyperparameters, slots, state }: Definition): Issue[] {
  const issues: Issue[] = [];
  const seen = new Map<string, string>();
  for (
    const [group, noun, names] of [
      ["hyperparameters", "a hyperparameter", Object.keys(hyperparameters)],
      ["slots", "a slot", Object.keys(slots)],
      ["state", "a number of the state", Object.keys(state)],
    ] as const
  ) {
    for (const name of names) {
      const taken = meaningOf(name) ?? seen.get(name) ??
        (name === "learning_rate" && group !== "hyperparameters"
          ? "a hyperparameter, if anything"
          : undefined);
      if (taken !== undefined) {
        issues.push({ path: `${group}.${name}`, message: `must have another name: ${name} is ${taken}` });
      }
      seen.set(name, noun);
    }
  }
  return issues;
}

/** What a name means that no definition may give another meaning to. */
function meaningOf(name: string): string | undefined {
  if (isFunction(name)) return "a function of the formula language";
  if (CONFIG_KEYS.has(name)) return "a config key of every optimizer";
  return GIVEN[name];
}

class Lists {
  readonly #definition: Definition;
  readonly #issues: Issue[] = [];
  /** Names of numbers that lines may read and not assign, with what they are. */
  readonly #constants = new Map<string, string>();
  readonly #read = new Set<string>();
  readonly #assigned = new Set<string>();

  constructor(definition: Definition) {
    this.#definition = definition;
    for (const name of Object.keys(definition.hyperparameters)) this.#constants.set(name, "a hyperparameter");
    for (const name of ["t", "T"]) this.#constants.set(name, GIVEN[name] as string);
  }

  check(): Issue[] {
    const { slots, state, scalars, dense, sparse } = this.#definition;
    const stored = ["w", ...Object.keys(slots)];
    const made = this.#list("scalars", scalars, { tensors: [], writable: Object.keys(state) });
    for (const name of Object.keys(state)) this.#constants.set(name, "a number of the state");
    for (const name of made) if (!this.#constants.has(name)) this.#constants.set(name, "made by scalars");

    const elements = (path: string, lines: readonly string[], isWithGradient: boolean) =>
      this.#list(path, lines, {
        tensors: isWithGradient ? [...stored, "g"] : stored,
        writable: stored,
      });
    this.#moves("dense", [elements("dense", dense, true)]);
    if (sparse) {
      const all = elements("sparse.all", sparse.all, false);
      const rows = elements("sparse.rows", sparse.rows, true);
      const after = elements("sparse.after", sparse.after, false);
      this.#moves("sparse", [all, rows, after]);
      if (sparse.scalar_rows.length > 0) {
        this.#moves("sparse.scalar_rows", [
          all,
          elements("sparse.scalar_rows", sparse.scalar_rows, true),
          after,
        ]);
      }
    }
    // What was not read whole may well use what the rest leaves unused.
    if (this.#issues.length === 0) this.#unused();
    return this.#issues;
  }

  /** Reads one list and gives the names that it assigns. */
  #list(
    path: string,
    lines: readonly string[],
    { tensors, writable }: { tensors: readonly string[]; writable: readonly string[] },
  ): ReadonlySet<string> {
    const assigned = new Set<string>();
    try {
      const uniforms = [...this.#constants.keys(), ...tensors.length === 0 ? writable : []];
      const graph = buildGraph(lines, { tensors, stored: tensors.length === 0 ? [] : writable, uniforms });
      for (const line of parseFormula(lines)) {
        this.#checkTarget(line, { writable, tensors });
        assigned.add(line.target);
        this.#assigned.add(line.target);
        for (const name of namesIn(line.expression)) this.#read.add(name);
      }
      this.#checkSize(path, graph);
    } catch (error) {
      if (!(error instanceof FormulaError)) throw error;
      this.#issues.push({ path: `${path}.${error.line - 1}`, message: error.message });
    }
    return assigned;
  }

  #checkTarget(
    { target, number }: Line,
    { writable, tensors }: { writable: readonly string[]; tensors: readonly string[] },
  ): void {
    if (writable.includes(target)) return;
    const fail = (why: string) => {
      throw new FormulaError(`Cannot assign to "${target}": ${why}`, number, 1);
    };
    const { slots } = this.#definition;
    const constant = this.#constants.get(target) ?? meaningOf(target);
    if (constant !== undefined) fail(`it is ${constant}, must be w, a slot or a new name`);
    if (Object.hasOwn(slots, target)) fail("it is a slot, which only lines for each element may set");
    if (target === "learning_rate") fail("it names a hyperparameter of other optimizers");
    if (!isName(target)) fail("a new name must not hold two _ in a row and have at most 64 characters");
    if (tensors.length > 0 && target === "g") fail("it is the gradient");
  }

  #checkSize(path: string, { nodes }: Graph): void {
    const calls = nodes.filter(({ op, element }) => element && OPS.get(op)?.host).length;
    const passes = Math.max(0, ...nodes.map(({ level }) => level));
    for (
      const [what, count, max] of [
        ["operations", nodes.length, NODES_MAX],
        ["powers, exponentials, logarithms and cosines for each element", calls, HOST_CALLS_MAX],
        ["reductions one upon another", passes, PASSES_MAX],
      ] as const
    ) {
      if (count > max) this.#issues.push({ path, message: `has ${count} ${what}, must have at most ${max}` });
    }
  }

  /** Lines that together have to move the variable. */
  #moves(path: string, lists: readonly ReadonlySet<string>[]): void {
    if (lists.some((assigned) => assigned.has("w")) || this.#issues.length > 0) return;
    this.#issues.push({ path, message: "never assigns w, must move the variable" });
  }

  #unused(): void {
    const { hyperparameters, slots, state } = this.#definition;
    for (const name of Object.keys(hyperparameters)) {
      if (!this.#read.has(name)) {
        this.#issues.push({
          path: `hyperparameters.${name}`,
          message: "is never read, must be used or left out",
        });
      }
    }
    for (const [group, names] of [["slots", Object.keys(slots)], ["state", Object.keys(state)]] as const) {
      for (const name of names) {
        const lacks = !this.#assigned.has(name) ? "assigned" : !this.#read.has(name) ? "read" : undefined;
        if (lacks === undefined) continue;
        this.#issues.push({
          path: `${group}.${name}`,
          message: `is never ${lacks}, must be used or left out`,
        });
      }
    }
  }
}

function namesIn(expression: Expression): string[] {
  if (expression.kind === "name") return [expression.name];
  return expression.kind === "call" ? expression.args.flatMap(namesIn) : [];
}
