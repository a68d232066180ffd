/**
 * Checks the names and formulas of a definition: everything that can be checked without a run.
 *
 * Invariant: each line of a definition without issues can be compiled, and only w, slots and state outlive a step.
 */
import { FormulaError } from "../../../../kernels/language/formula_syntax.ts";
import type { Issue } from "../../../errors.ts";
import { GIVEN, meaningOf, readLines } from "../../mechanism/user_formula.ts";
import { type Definition, DEFINITION_LENGTH_MAX } from "../member/definition_schema.ts";

/** The keys that every config has or may have besides hyperparameters. */
const CONFIG_KEYS = new Set(["name", "clipnorm", "clipvalue", "global_clipnorm", "decay", "lr"]);

/** The issues of the definition, with paths relative to it. If there are none, it can be compiled. */
export function checkDefinition(definition: Definition): Issue[] {
  const { length } = JSON.stringify(definition);
  if (length > DEFINITION_LENGTH_MAX) {
    return [{ path: "", message: `has ${length} characters, must have at most ${DEFINITION_LENGTH_MAX}` }];
  }
  const issues = checkNames(definition);
  // While a name has two meanings, the lines are ambiguous.
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
      const taken = reservedFor(name) ?? seen.get(name) ??
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

/** The meaning of a name that no definition may redefine. */
function reservedFor(name: string): string | undefined {
  return CONFIG_KEYS.has(name) ? "a config key of every optimizer" : meaningOf(name);
}

class Lists {
  readonly #definition: Definition;
  readonly #issues: Issue[] = [];
  /** Numbers that lines may read but not assign, and their meanings. */
  readonly #constants = new Map<string, string>();
  readonly #read = new Set<string>();
  readonly #assigned = new Set<string>();

  constructor(definition: Definition) {
    this.#definition = definition;
    for (const name of Object.keys(definition.hyperparameters)) this.#constants.set(name, "a hyperparameter");
    for (const name of ["t", "T"]) this.#constants.set(name, GIVEN[name] as string);
  }

  check(): Issue[] {
    const { slots, state, doubles, scalars, dense, sparse, sparse_as_dense } = this.#definition;
    const stored = ["w", ...Object.keys(slots)];
    const exact = this.#list("doubles", doubles, { tensors: [], writable: [] });
    // If these cannot be read, other lists would lack their names.
    if (this.#issues.length > 0) return this.#issues;
    for (const name of exact) this.#constants.set(name, "made by doubles");
    const made = this.#list("scalars", scalars, { tensors: [], writable: Object.keys(state) });
    if (this.#issues.length > 0) return this.#issues;
    for (const name of Object.keys(state)) this.#constants.set(name, "a number of the state");
    for (const name of made) if (!this.#constants.has(name)) this.#constants.set(name, "made by scalars");

    const elements = (path: string, lines: readonly string[], isWithGradient: boolean) =>
      this.#list(path, lines, {
        tensors: isWithGradient ? [...stored, "g"] : stored,
        writable: stored,
      });
    this.#moves("dense", [elements("dense", dense, true)]);
    if (sparse && sparse_as_dense) {
      const message = "is true beside sparse, must be false or alone";
      this.#issues.push({ path: "sparse_as_dense", message });
    }
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
    // A list that could not be read may use the names that seem unused.
    if (this.#issues.length === 0) this.#unused();
    return this.#issues;
  }

  /** Reads one list and returns the names that it assigns. */
  #list(
    path: string,
    lines: readonly string[],
    { tensors, writable }: { tensors: readonly string[]; writable: readonly string[] },
  ): ReadonlySet<string> {
    try {
      const names = readLines(lines, {
        tensors,
        writable,
        constants: this.#constants,
        taken: (name) => this.#meaning(name),
      });
      for (const name of names.assigned) this.#assigned.add(name);
      for (const name of names.read) this.#read.add(name);
      return names.assigned;
    } catch (error) {
      if (!(error instanceof FormulaError)) throw error;
      this.#issues.push({ path: `${path}.${error.line - 1}`, message: error.message });
      return new Set();
    }
  }

  /** The meaning of a name that lines may not redefine. */
  #meaning(name: string): string | undefined {
    if (Object.hasOwn(this.#definition.slots, name)) {
      return "a slot, which only lines for each element have";
    }
    return name === "learning_rate" ? "a hyperparameter of other optimizers" : reservedFor(name);
  }

  /** Reports lists of lines that together never assign the variable. */
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
        // A slot that starts as the variable is useful even if no line sets it.
        const isKnown = this.#assigned.has(name) || slots[name]?.initial === "w";
        const lacks = !isKnown ? "assigned" : !this.#read.has(name) ? "read" : undefined;
        if (lacks === undefined) continue;
        this.#issues.push({
          path: `${group}.${name}`,
          message: `is never ${lacks}, must be used or left out`,
        });
      }
    }
  }
}
