/**
 * Unknown names in users' formulas: the error suggests the name that was meant, or says why it cannot be read there.
 *
 * Suggestions appear only in messages; a formula is never read differently from how it is written. Invariant: lines
 * that pass use only names that kernels/language/graph.ts knows.
 */
import { type Expression, FormulaError, type Line } from "../../../kernels/language/formula_syntax.ts";
import { isFunction } from "../../../kernels/language/graph.ts";
import { REDUCTIONS } from "../../../kernels/language/formula_reductions.ts";
import { OPS } from "../../../kernels/language/ops.ts";

/** Names used in other languages → the name here. */
const NAMES: ReadonlyMap<string, string> = new Map(
  [
    ["g", "grad grads gradient gradients dw"],
    ["w", "var variable param params weight weights theta"],
    ["t", "iteration iterations step steps"],
    ["learning_rate", "lr"],
  ].flatMap(([ours = "", theirs = ""]) => theirs.split(" ").map((name) => [name, ours])),
);

const FUNCTIONS: ReadonlyMap<string, string> = new Map(Object.entries({
  square: "a * a",
  power: "a ^ b",
  maximum: "max(a, b)",
  minimum: "min(a, b)",
  fabs: "abs(a)",
  clip: "clamp(a, low, high)",
  clip_by_value: "clamp(a, low, high)",
  reduce_sum: "sum(a)",
  reduce_mean: "mean(a)",
  rsqrt: "1 / sqrt(a)",
  log1p: "log(1 + a)",
  sigmoid: "1 / (1 + exp(-a))",
  tanh: "1 - 2 / (exp(2 * a) + 1)",
  isnan: "a != a in where",
  isfinite: "a - a == 0 in where",
  cond: "where(a < b, x, y)",
  select: "where(a < b, x, y)",
}));

/** The most letters by which a misspelling may differ from the name that was meant. */
const SLIPS_MAX = 2;

/**
 * Checks every name that `lines` read. `known` are the names defined from the start; `elsewhere` explains names that
 * exist but cannot be read by these lines. Throws {@link FormulaError} at the first unknown name.
 */
export function checkNames(
  lines: readonly Line[],
  known: readonly string[],
  elsewhere: (name: string) => string | undefined,
): void {
  const names = new Set(known);
  for (const { expression, number, target } of lines) {
    visit(expression, (at) => {
      const reason = at.kind === "name" ? wrongName(at.name, names) : wrongFunction(at.op);
      if (reason !== undefined) throw new FormulaError(reason, number, at.column);
    });
    names.add(target);
  }

  function wrongName(name: string, names: ReadonlySet<string>): string | undefined {
    if (names.has(name)) return undefined;
    const list = [...names].join(", ");
    const guess = (meant: string) => `Unknown name "${name}", did you mean ${meant}? Known are ${list}`;
    const here = NAMES.get(name);
    if (here !== undefined && names.has(here)) return guess(here);
    const what = elsewhere(name);
    if (what !== undefined) return `Cannot read "${name}" here, it is ${what}: known are ${list}`;
    const later = lines.find(({ target }) => target === name);
    if (later) {
      return `Unknown name "${name}", line ${later.number} defines it only later. Known are ${list}`;
    }
    const near = closest(name, names);
    return near === undefined ? `Unknown name "${name}", known are ${list}` : guess(near);
  }
}

function wrongFunction(name: string): string | undefined {
  if (isFunction(name) || OPS.has(name)) return undefined;
  const names = [...OPS.keys(), ...REDUCTIONS.keys()].filter(isFunction);
  const list = names.join(", ");
  const instead = FUNCTIONS.get(name);
  if (instead !== undefined) return `Unknown function "${name}", it is written ${instead}. Known are ${list}`;
  const meant = closest(name, names);
  const guess = meant === undefined ? ", known" : `, did you mean ${meant}? Known`;
  return `Unknown function "${name}"${guess} are ${list}`;
}

type Named = Exclude<Expression, { readonly kind: "number" }>;

/** Visits names and calls from the inside out, in the order in which the graph is built. */
function visit(expression: Expression, act: (at: Named) => void): void {
  if (expression.kind === "number") return;
  if (expression.kind === "call") { for (const each of expression.args) visit(each, act); }
  act(expression);
}

/** The name that `name` most likely misspells: the same in another case, or a few letters away. */
function closest(name: string, names: Iterable<string>): string | undefined {
  let best: string | undefined, least = Infinity;
  for (const each of names) {
    if (each.toLowerCase() === name.toLowerCase()) return each;
    const slips = distance(each, name);
    if (slips < least && slips <= SLIPS_MAX && 2 * slips < Math.min(each.length, name.length)) {
      [best, least] = [each, slips];
    }
  }
  return best;
}

/** The number of letters to insert, delete or replace (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, n) => n);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const changed = (row[j] as number) + Number(a[i] !== b[j]);
      next.push(Math.min(changed, (row[j + 1] as number) + 1, (next[j] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
