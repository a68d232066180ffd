/**
 * The parser of formulas: text → expression trees. One assignment per line: `m = m + (g - m) * (1 - beta_1)`.
 *
 * Not a type checker (graph.ts is) and not an evaluator. Every node keeps its column, so that a later check can point
 * at the place of an error. Nesting (syntax.ts) and length are bounded, so hostile text is refused.
 */
import { OPS } from "./ops.ts";
import { type Language, Parser } from "./syntax.ts";
import { tokenize } from "./tokens.ts";

export const LINE_LENGTH_MAX = 2000;

export type Expression =
  & { readonly column: number }
  & (
    | { readonly kind: "number"; readonly value: number }
    | { readonly kind: "name"; readonly name: string }
    | { readonly kind: "call"; readonly op: string; readonly args: readonly Expression[] }
  );

export interface Line {
  readonly target: string;
  readonly expression: Expression;
  /** 1 for the first line of its list. */
  readonly number: number;
}

/** An error in a formula, with its place; line and column count from 1. */
export class FormulaError extends SyntaxError {
  override readonly name = "FormulaError";
  /** What is wrong, without the place. */
  readonly reason: string;
  readonly line: number;
  readonly column: number;

  constructor(reason: string, line: number, column: number) {
    super(`${reason} (line ${line}, column ${column})`);
    this.reason = reason;
    this.line = line;
    this.column = column;
  }
}

const FORMULAS: Language<Expression> = {
  operators: new Map(
    [...OPS].flatMap(([op, { symbol, arity }]) => symbol !== undefined && arity === 2 ? [[symbol, op]] : []),
  ),
  sign: "neg",
  number: (value, { column }) => ({ kind: "number", value, column }),
  name: (name, { column }) => ({ kind: "name", name, column }),
  operation: (op, args, { column }) => ({ kind: "call", op, args, column }),
  call: ({ name, args, place }) => {
    const symbol = OPS.get(name)?.symbol;
    if (symbol !== undefined) {
      throw new FormulaError(`Cannot call "${name}", it is written ${symbol}`, place.line, place.column);
    }
    return { kind: "call", op: name, args, column: place.column };
  },
  error: (problem, { line, column }) =>
    new FormulaError(problem.charAt(0).toUpperCase() + problem.slice(1), line, column),
};

function parseLine(text: string, number: number): Line {
  if (text.length > LINE_LENGTH_MAX) {
    const reason = `Cannot read a line of ${text.length} characters, at most ${LINE_LENGTH_MAX}`;
    throw new FormulaError(reason, number, 1);
  }
  const parser = new Parser(text, FORMULAS, number);
  const target = parser.name("a name to assign to");
  parser.expect("=");
  const expression = parser.expression();
  if (parser.next.kind !== "end") parser.fail("an operator");
  return { target, expression, number };
}

/** Parses one assignment per line; blank lines are not allowed. Throws {@link FormulaError}. */
export function parseFormula(lines: readonly string[]): Line[] {
  return lines.map((text, index) => parseLine(text, index + 1));
}

/** Renames the names in a line. Function names and everything else stay as they are. */
export function rename(line: string, change: (name: string) => string): string {
  const tokens = tokenize(line, 1);
  let renamed = "", end = 0;
  for (const [index, { kind, text, place }] of tokens.entries()) {
    if (kind !== "name" || tokens[index + 1]?.text === "(") continue;
    const start = place.column - 1;
    renamed += line.slice(end, start) + change(text);
    end = start + text.length;
  }
  return renamed + line.slice(end);
}
