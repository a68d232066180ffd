/**
 * Formula text → expression trees. One assignment a line: `m = m + (g - m) * (1 - beta_1)`.
 *
 * Not a type checker (graph.ts is) and no evaluator. Every node keeps its column, so that whoever refuses a
 * formula later can point at the place. Nesting and length are bounded: hostile text is refused, never followed.
 */
import { OPS, PRECEDENCE } from "./ops.ts";

export const LINE_LENGTH_MAX = 2000;
export const NESTING_MAX = 64;

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

/** A formula that cannot be understood: line and column count from 1. */
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

interface Token {
  readonly kind: "number" | "name" | "symbol" | "end";
  readonly text: string;
  readonly column: number;
}

const TOKEN =
  /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_][A-Za-z0-9_]*)|(<=|>=|==|!=|[-+*/^()<>,=]))/y;

function tokenize(text: string, line: number): Token[] {
  if (text.length > LINE_LENGTH_MAX) {
    throw new FormulaError(
      `Cannot read a line of ${text.length} characters, at most ${LINE_LENGTH_MAX}`,
      line,
      1,
    );
  }
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  const end = text.trimEnd().length;
  while (TOKEN.lastIndex < end) {
    const from = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) {
      const at = from + (/\S/.exec(text.slice(from))?.index ?? 0);
      const sign = String.fromCodePoint(text.codePointAt(at) as number);
      throw new FormulaError(`Expected a number, a name or an operator, found "${sign}"`, line, at + 1);
    }
    const [, number, name, symbol] = match;
    const token = number ?? name ?? symbol ?? "";
    tokens.push({
      kind: number !== undefined ? "number" : name !== undefined ? "name" : "symbol",
      text: token,
      column: TOKEN.lastIndex - token.length + 1,
    });
  }
  tokens.push({ kind: "end", text: "end of line", column: end + 1 });
  return tokens;
}

const BINARY = new Map(
  [...OPS].flatMap(([op, row]) =>
    row.infix && row.arity === 2 ? [[row.infix.symbol, { op, ...row.infix }]] : []
  ),
);

class Parser {
  readonly #tokens: Token[];
  readonly #line: number;
  #at = 0;
  #depth = 0;

  constructor(text: string, line: number) {
    this.#tokens = tokenize(text, line);
    this.#line = line;
  }

  get #next(): Token {
    return this.#tokens[this.#at] as Token;
  }

  #take(): Token {
    const token = this.#next;
    this.#at += 1;
    return token;
  }

  /** Takes the next token if it is this symbol. */
  #skip(symbol: string): boolean {
    const found = this.#next.text === symbol;
    if (found) this.#at += 1;
    return found;
  }

  #expect(text: string): void {
    const token = this.#take();
    if (token.text !== text || token.kind === "end") {
      this.#fail(`Expected "${text}", found "${token.text}"`, token);
    }
  }

  #fail(message: string, token: Token): never {
    throw new FormulaError(message, this.#line, token.column);
  }

  line(): Line {
    const target = this.#take();
    if (target.kind !== "name") this.#fail(`Expected a name to assign to, found "${target.text}"`, target);
    this.#expect("=");
    const expression = this.#binary(0);
    if (this.#next.kind !== "end") this.#fail(`Expected an operator, found "${this.#next.text}"`, this.#next);
    return { target: target.text, expression, number: this.#line };
  }

  #binary(precedenceMin: number): Expression {
    if (++this.#depth > NESTING_MAX) this.#fail(`Cannot nest deeper than ${NESTING_MAX}`, this.#next);
    let left = this.#unary();
    for (;;) {
      const infix = this.#next.kind === "symbol" ? BINARY.get(this.#next.text) : undefined;
      if (!infix || infix.precedence < precedenceMin) break;
      const { column } = this.#take();
      const right = this.#binary(infix.rightAssociative ? infix.precedence : infix.precedence + 1);
      left = { kind: "call", op: infix.op, args: [left, right], column };
    }
    this.#depth -= 1;
    return left;
  }

  #unary(): Expression {
    const token = this.#take();
    if (token.kind === "number") return { kind: "number", value: Number(token.text), column: token.column };
    if (token.text === "-" && token.kind === "symbol") {
      return { kind: "call", op: "neg", args: [this.#binary(PRECEDENCE.sign)], column: token.column };
    }
    if (token.text === "(" && token.kind === "symbol") {
      const inner = this.#binary(0);
      this.#expect(")");
      return inner;
    }
    if (token.kind !== "name") this.#fail(`Expected a value, found "${token.text}"`, token);
    if (!this.#skip("(")) return { kind: "name", name: token.text, column: token.column };
    const infix = OPS.get(token.text)?.infix;
    if (infix) this.#fail(`Cannot call "${token.text}", it is written ${infix.symbol}`, token);
    const args = [this.#binary(0)];
    while (this.#skip(",")) args.push(this.#binary(0));
    this.#expect(")");
    return { kind: "call", op: token.text, args, column: token.column };
  }
}

/** The line with names changed; those of functions, and what is no name, stay as they are. */
export function rename(line: string, change: (name: string) => string): string {
  TOKEN.lastIndex = 0;
  let renamed = "";
  for (let from = 0; from < line.length;) {
    const match = TOKEN.exec(line);
    if (!match) return renamed + line.slice(from);
    const [whole, , name] = match;
    const isCall = /^\s*\(/.test(line.slice(TOKEN.lastIndex));
    renamed += name === undefined || isCall ? whole : whole.replace(name, () => change(name));
    from = TOKEN.lastIndex;
  }
  return renamed;
}

/** Parses one assignment a line; blank lines are not allowed. Throws {@link FormulaError}. */
export function parseFormula(lines: readonly string[]): Line[] {
  return lines.map((text, index) => new Parser(text, index + 1).line());
}
