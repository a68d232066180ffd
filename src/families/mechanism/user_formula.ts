/**
 * Checks of formulas that users write in configs and definitions: which names they may read and set, and how much
 * computation they may need.
 *
 * Nothing is compiled or evaluated here. Invariant: lines that are read without an error can be compiled.
 */
import {
  type Expression,
  FormulaError,
  type Line,
  parseFormula,
} from "../../../kernels/language/formula_syntax.ts";
import { buildGraph, type Graph, isFunction } from "../../../kernels/language/graph.ts";
import { OPS } from "../../../kernels/language/ops.ts";
import { splitPasses } from "../../../kernels/compiler/pass.ts";
import { checkNames } from "./formula_names.ts";

/** The most lines in one list. */
export const LINES_MAX = 64;
/** The most operations of one list per element. Operations that a later pass repeats count again. */
const OPERATIONS_MAX = 1000;
/** The longest chain of reductions: each is a pass over the variable. */
const REDUCTIONS_MAX = 8;
/** The most powers, exponentials etc. of one list per element: each takes as long as hundreds of additions. */
const HOST_CALLS_MAX = 16;

/** Two underscores in a row are reserved for names that the service generates. */
const NAME = /^(?!.*__)[A-Za-z][A-Za-z0-9_]{0,63}$/;
export const NAME_WANTED =
  "must be 1 to 64 of A-Z a-z 0-9 _, begin with a letter and not hold two _ in a row";

export function isName(text: string): boolean {
  return NAME.test(text);
}

/** Names with a meaning in lines that need no declaration. */
export const GIVEN: Readonly<Record<string, string>> = {
  w: "the variable",
  g: "the gradient",
  t: "the iterations before the step",
  T: "the iterations after the step",
};

/** The meaning of a name that cannot be redefined. */
export function meaningOf(name: string): string | undefined {
  if (isFunction(name)) return "a function of the formula language";
  return Object.hasOwn(GIVEN, name) ? GIVEN[name] : undefined;
}

/** The names that lines may use. */
export interface LineScope {
  /** Names with one number per element. If there are none, the lines compute single numbers. */
  readonly tensors: readonly string[];
  /** Names that may be set and whose value outlives the lines. */
  readonly writable: readonly string[];
  /** Numbers that may be read but not set, and their meanings. */
  readonly constants: ReadonlyMap<string, string>;
  /** The meaning of any other name that lines may neither set nor read. */
  readonly taken?: (name: string) => string | undefined;
}

export interface NamesOfLines {
  readonly assigned: ReadonlySet<string>;
  readonly read: ReadonlySet<string>;
}

/** The names that `lines` set and read. Throws {@link FormulaError} if they cannot be compiled or cost too much. */
export function readLines(lines: readonly string[], scope: LineScope): NamesOfLines {
  const { tensors, writable, constants } = scope;
  const isScalar = tensors.length === 0;
  const parsed = parseFormula(lines);
  const known = [...constants.keys(), ...tensors, ...writable.filter((name) => !tensors.includes(name))];
  checkNames(parsed, known, (name) => meaningOf(name) ?? scope.taken?.(name));
  const graph = buildGraph(lines, {
    tensors,
    stored: isScalar ? [] : writable,
    uniforms: [...constants.keys(), ...isScalar ? writable : []],
  });
  const assigned = new Set<string>(), read = new Set<string>();
  for (const line of parsed) {
    checkTarget(line, scope);
    assigned.add(line.target);
    for (const name of namesIn(line.expression)) read.add(name);
  }
  checkSize(graph, lines.length);
  return { assigned, read };
}

function checkTarget({ target, number }: Line, { writable, constants, taken }: LineScope): void {
  if (writable.includes(target)) return;
  const what = constants.get(target) ?? meaningOf(target) ?? taken?.(target);
  const may = [...writable, "a new name"].join(", ");
  if (what !== undefined) {
    throw new FormulaError(`Cannot set "${target}", it is ${what}: must be ${may}`, number, 1);
  }
  if (!isName(target)) throw new FormulaError(`Cannot set "${target}": a name ${NAME_WANTED}`, number, 1);
}

/** The cost of lines per element. */
export interface Load {
  readonly operations: number;
  /** Operations among them that are computed one element at a time. */
  readonly calls: number;
  /** The longest chain of reductions: each is a pass over all elements. */
  readonly reductions: number;
}

const loads = new WeakMap<Graph, Load>();

/** A pass repeats what it needs from earlier passes, because no values per element are kept between passes. */
export function loadOf(graph: Graph): Load {
  const known = loads.get(graph);
  if (known) return known;
  const passes = splitPasses(graph, () => ({ access: "sequential", type: "f32" }));
  const done = passes.flatMap((pass) => pass.nodes).map((id) => graph.nodes[id]?.op ?? "");
  const load = {
    operations: done.filter((op) => op !== "tensor").length,
    calls: done.filter((op) => OPS.get(op)?.host).length,
    reductions: graph.nodes.reduce((most, { level }) => Math.max(most, level), 0),
  };
  loads.set(graph, load);
  return load;
}

/** Describes the first limit that the load exceeds; undefined if there is none. */
export function tooMuch({ operations, calls, reductions }: Load): string | undefined {
  const again = reductions > 0 ? "; operations repeated after a reduction count again" : "";
  for (
    const [what, count, max] of [
      ["operations", operations, OPERATIONS_MAX],
      ["powers, exponentials, logarithms and cosines for each element", calls, HOST_CALLS_MAX],
      ["chained reductions", reductions, REDUCTIONS_MAX],
    ] as const
  ) {
    if (count > max) return `${count} ${what} in all lines together, at most ${max}${again}`;
  }
  return undefined;
}

function checkSize(graph: Graph, lineCount: number): void {
  const load = loadOf(graph);
  const found = tooMuch({ ...load, operations: Math.max(graph.nodes.length, load.operations) });
  if (found !== undefined) throw new FormulaError(`Cannot take ${found}`, lineCount, 1);
}

/** The cost of lines that were checked before. */
export function loadOfLines(
  lines: readonly string[],
  scope: {
    readonly tensors: readonly string[];
    readonly stored: readonly string[];
    readonly uniforms: readonly string[];
  },
): Load {
  return loadOf(buildGraph(lines, scope));
}

function namesIn(expression: Expression): string[] {
  if (expression.kind === "name") return [expression.name];
  return expression.kind === "call" ? expression.args.flatMap(namesIn) : [];
}
