/**
 * Loss text → syntax trees. Statements are parted by ";": `NAME = EXPRESSION` names a part, the last one is the loss.
 *
 *     h = relu(matmul(x, 'dense/kernel') + 'dense/bias'); mean(square(h - y), axis=0)
 *
 * Knows no function, no variable and no shape (expression.ts does). Every node keeps its place in the text, so that
 * whoever refuses it later can point there. Length and nesting are bounded: hostile text is refused, never followed.
 */
import { StepwellError } from "../errors.ts";

export const CHARACTERS_MAX = 16_384;
export const NESTING_MAX = 64;
/** Of the tree: a chain of operators is a tree as deep as it is long. */
export const DEPTH_MAX = 1000;

/** Line and column count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export type Expression =
  & { readonly place: Place; readonly depth: number }
  & (
    | { readonly kind: "number"; readonly value: number }
    /** Between quotes it may hold anything but those. */
    | { readonly kind: "name"; readonly name: string }
    | { readonly kind: "list"; readonly items: readonly Expression[] }
    | {
      readonly kind: "call";
      readonly name: string;
      readonly args: readonly Expression[];
      readonly keywords: readonly {
        readonly name: string;
        readonly place: Place;
        readonly value: Expression;
      }[];
    }
  );

export type CallExpression = Extract<Expression, { kind: "call" }>;

export interface Statement {
  /** Undefined for the last one. */
  readonly target: { readonly name: string; readonly place: Place } | undefined;
  readonly expression: Expression;
}

interface Infix {
  readonly name: string;
  readonly precedence: number;
  readonly rightAssociative?: boolean;
}

/** Infix operators and the functions that they call. A sign binds tighter than `*`, and -x^2 is -(x^2). */
export const INFIX: ReadonlyMap<string, Infix> = new Map([
  ["<", { name: "less", precedence: 1 }],
  ["<=", { name: "less_equal", precedence: 1 }],
  [">", { name: "greater", precedence: 1 }],
  [">=", { name: "greater_equal", precedence: 1 }],
  ["==", { name: "equal", precedence: 1 }],
  ["!=", { name: "not_equal", precedence: 1 }],
  ["+", { name: "add", precedence: 2 }],
  ["-", { name: "subtract", precedence: 2 }],
  ["*", { name: "multiply", precedence: 3 }],
  ["/", { name: "divide", precedence: 3 }],
  ["@", { name: "matmul", precedence: 3 }],
  ["^", { name: "pow", precedence: 5, rightAssociative: true }],
]);
export const SIGN_PRECEDENCE = 4;

/** What is wrong with a loss, and where. */
export function lossError(problem: string, place?: Place): StepwellError {
  const message = place ? `${problem} (line ${place.line}, column ${place.column})` : problem;
  return new StepwellError("invalid_loss", `Cannot take the loss: ${message}`, [{ path: "loss", message }]);
}

interface Token {
  readonly kind: "number" | "name" | "quoted" | "symbol" | "end";
  readonly text: string;
  readonly place: Place;
}

const TOKEN =
  /(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_][A-Za-z0-9_]*)|'([^'\n]*)'|"([^"\n]*)"|(<=|>=|==|!=|[-+*/@^()<>,=;[\]])/y;

function tokenize(text: string): Token[] {
  if (text.length > CHARACTERS_MAX) {
    throw lossError(`it has ${text.length} characters, must have at most ${CHARACTERS_MAX}`);
  }
  const tokens: Token[] = [];
  let line = 1, lineStart = 0;
  for (let at = 0; at < text.length;) {
    const place = { line, column: at - lineStart + 1 };
    const letter = text.charAt(at);
    if (/\s/.test(letter)) {
      at += 1;
      if (letter === "\n") [line, lineStart] = [line + 1, at];
      continue;
    }
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match) {
      const problem = letter === "'" || letter === '"' ? "this quote has no end" : `cannot read "${letter}"`;
      throw lossError(problem, place);
    }
    at = TOKEN.lastIndex;
    const [whole, number, name, single, double] = match;
    const quoted = single ?? double;
    if (quoted !== undefined) tokens.push({ kind: "quoted", text: quoted, place });
    else {
      const kind = number !== undefined ? "number" : name !== undefined ? "name" : "symbol";
      tokens.push({ kind, text: whole, place });
    }
  }
  tokens.push({ kind: "end", text: "the end", place: { line, column: text.length - lineStart + 1 } });
  return tokens;
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#tokens = tokenize(text);
  }

  get #next(): Token {
    return this.#tokens[this.#at] as Token;
  }

  #take(): Token {
    const token = this.#next;
    if (token.kind !== "end") this.#at += 1;
    return token;
  }

  #isSymbol(symbol: string, ahead = 0): boolean {
    const token = this.#tokens[this.#at + ahead];
    return token?.kind === "symbol" && token.text === symbol;
  }

  /** Takes the next token if it is this symbol. */
  #skip(symbol: string): boolean {
    const found = this.#isSymbol(symbol);
    if (found) this.#at += 1;
    return found;
  }

  #fail(wanted: string, token: Token): never {
    const found = token.kind === "end" ? token.text : `"${token.text}"`;
    throw lossError(`expected ${wanted}, found ${found}`, token.place);
  }

  statements(): Statement[] {
    const statements: Statement[] = [];
    for (;;) {
      const { kind, text: name, place } = this.#next;
      const isAssignment = kind === "name" && this.#isSymbol("=", 1);
      if (isAssignment) this.#at += 2;
      statements.push({ target: isAssignment ? { name, place } : undefined, expression: this.#binary(0) });
      const hasMore = this.#skip(";") && this.#next.kind !== "end";
      if (isAssignment && !hasMore) this.#fail('";" and then the loss itself', this.#next);
      if (isAssignment) continue;
      if (this.#next.kind === "end") return statements;
      if (hasMore) throw lossError('this expression has no name, must be NAME = … before a ";"', place);
      this.#fail("an operator", this.#next);
    }
  }

  #binary(precedenceMin: number): Expression {
    if (++this.#depth > NESTING_MAX) {
      throw lossError(`cannot nest deeper than ${NESTING_MAX}`, this.#next.place);
    }
    let left = this.#unary();
    for (;;) {
      const infix = this.#next.kind === "symbol" ? INFIX.get(this.#next.text) : undefined;
      if (!infix || infix.precedence < precedenceMin) break;
      const { place } = this.#take();
      const right = this.#binary(infix.rightAssociative ? infix.precedence : infix.precedence + 1);
      left = this.#call(infix.name, { args: [left, right], keywords: [], place });
    }
    this.#depth -= 1;
    return left;
  }

  #unary(): Expression {
    const token = this.#take();
    const { kind, text, place } = token;
    if (kind === "number") return { kind: "number", value: Number(text), place, depth: 1 };
    if (kind === "quoted") return { kind: "name", name: text, place, depth: 1 };
    if (kind === "symbol" && text === "-") {
      const operand = this.#binary(SIGN_PRECEDENCE);
      return operand.kind === "number"
        ? { ...operand, value: -operand.value, place }
        : this.#call("negative", { args: [operand], keywords: [], place });
    }
    if (kind === "symbol" && text === "(") {
      const inner = this.#binary(0);
      if (!this.#skip(")")) this.#fail('")"', this.#next);
      return inner;
    }
    if (kind === "symbol" && text === "[") {
      const items = this.#items();
      return { kind: "list", items, place, depth: this.#depthOf(items, place) };
    }
    if (kind !== "name") this.#fail("a value", token);
    if (!this.#skip("(")) return { kind: "name", name: text, place, depth: 1 };
    return this.#call(text, { ...this.#args(), place });
  }

  #call(
    name: string,
    { args, keywords, place }: Pick<CallExpression, "args" | "keywords" | "place">,
  ): CallExpression {
    const parts = [...args, ...keywords.map(({ value }) => value)];
    return { kind: "call", name, args, keywords, place, depth: this.#depthOf(parts, place) };
  }

  #depthOf(parts: readonly Expression[], place: Place): number {
    const depth = 1 + parts.reduce((most, part) => Math.max(most, part.depth), 0);
    if (depth > DEPTH_MAX) throw lossError(`cannot follow more than ${DEPTH_MAX} operations in one`, place);
    return depth;
  }

  #items(): Expression[] {
    const items: Expression[] = [];
    if (this.#skip("]")) return items;
    do items.push(this.#binary(0)); while (this.#skip(","));
    if (!this.#skip("]")) this.#fail('"," or "]"', this.#next);
    return items;
  }

  #args() {
    const args: Expression[] = [];
    const keywords: { name: string; place: Place; value: Expression }[] = [];
    if (this.#skip(")")) return { args, keywords };
    do {
      const { kind, text: name, place } = this.#next;
      if (kind === "name" && this.#isSymbol("=", 1)) {
        this.#at += 2;
        keywords.push({ name, place, value: this.#binary(0) });
      } else if (keywords.length > 0) this.#fail("NAME=VALUE, as before", this.#next);
      else args.push(this.#binary(0));
    } while (this.#skip(","));
    if (!this.#skip(")")) this.#fail('"," or ")"', this.#next);
    return { args, keywords };
  }
}

/** The statements of a loss; only the last has no target. Throws invalid_loss. */
export function parseLoss(text: string): Statement[] {
  return new Parser(text).statements();
}
