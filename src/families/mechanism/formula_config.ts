/** Formulas in members' configs: one expression, or lines with parameters. Limits are in user_formula.ts. */
import { z } from "zod";
import { FormulaError, rename } from "../../../kernels/language/formula_syntax.ts";
import type { Problem } from "./family.ts";
import { float32 } from "../../float32.ts";
import { isName, LINES_MAX, meaningOf, NAME_WANTED, readLines } from "./user_formula.ts";

/** Leaves room for the suffixes that {@link withOwnNames} adds. */
const LINE_LENGTH_MAX = 500;
const PARAMETERS_MAX = 32;
const TARGET = "rate = ";

/** The problems of an expression that gives one number; `names` are those that it may read. */
export function checkExpression(key: string, expression: unknown, names: readonly string[]): Problem[] {
  if (typeof expression !== "string") return [];
  if (expression.length > LINE_LENGTH_MAX) {
    return [{ key, message: `has ${expression.length} characters, must have at most ${LINE_LENGTH_MAX}` }];
  }
  try {
    readLines([`${TARGET}${expression}`], {
      tensors: [],
      writable: [],
      constants: new Map(names.map((name) => [name, "given"])),
    });
    return [];
  } catch (error) {
    if (!(error instanceof FormulaError)) throw error;
    return [{ key, message: `${error.reason} (column ${Math.max(1, error.column - TARGET.length)})` }];
  }
}

/** The fields of a member whose config is lines and the numbers that they read. */
export function lineFields(lines: string) {
  return {
    lines: z.array(z.string().max(LINE_LENGTH_MAX)).min(1).max(LINES_MAX).describe(lines),
    parameters: z.record(z.string(), float32()).default({}).describe("Numbers that the lines name."),
  };
}

/** The problems of lines in the form of {@link lineFields}, which must set `target`. */
export function checkLines(
  { lines, parameters = {} }: { readonly lines?: unknown; readonly parameters?: unknown },
  { tensors, target, numbers }: {
    readonly tensors: readonly string[];
    readonly target: string;
    /** Names of other numbers that the lines may read. */
    readonly numbers: readonly string[];
  },
): Problem[] {
  // The fields' schemas report values of the wrong type.
  if (!isStrings(lines) || typeof parameters !== "object" || parameters === null) return [];
  const names = Object.keys(parameters);
  if (names.length > PARAMETERS_MAX) {
    return [{
      key: "parameters",
      message: `has ${names.length} entries, must have at most ${PARAMETERS_MAX}`,
    }];
  }
  const problems = names.flatMap((name) => {
    const meaning = meaningOf(name);
    if (isName(name) && meaning === undefined) return [];
    return [{
      key: "parameters",
      message: meaning === undefined
        ? `has ${JSON.stringify(name)}, a name ${NAME_WANTED}`
        : `has "${name}", must have another name: it is ${meaning}`,
    }];
  });
  if (problems.length > 0) return problems;
  try {
    const constants = new Map(
      [...numbers.map((name) => [name, "given"]), ...names.map((name) => [name, "a parameter"])] as [
        string,
        string,
      ][],
    );
    const { assigned, read } = readLines(lines, { tensors, writable: [target], constants });
    const idle = names.find((name) => !read.has(name));
    if (idle !== undefined) {
      return [{ key: "parameters", message: `has "${idle}", which no line reads: must be used or left out` }];
    }
    return assigned.has(target) ? [] : [{ key: "lines", message: `never set ${target}, must set it` }];
  } catch (error) {
    if (!(error instanceof FormulaError)) throw error;
    return [{ key: `lines.${error.line - 1}`, message: error.message }];
  }
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= LINES_MAX &&
    value.every((each) => typeof each === "string" && each.length <= LINE_LENGTH_MAX);
}

/** Adds `suffix` to `numbers` and to the names that the lines make, so that the lines can be joined with others. */
export function withOwnNames(
  lines: readonly string[],
  numbers: Readonly<Record<string, number>>,
  { keep, suffix }: { readonly keep: readonly string[]; readonly suffix: string },
): { readonly lines: readonly string[]; readonly uniforms: Readonly<Record<string, number>> } {
  const own = (name: string) => keep.includes(name) ? name : `${name}__${suffix}`;
  return {
    lines: lines.map((line) => rename(line, own)),
    uniforms: Object.fromEntries(
      Object.entries(numbers).map(([name, value]) => [own(name), Math.fround(value)]),
    ),
  };
}
