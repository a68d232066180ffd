/**
 * The expression parser of formulas (formula_syntax.ts) and losses (src/autodiff/graph/loss_syntax.ts): operator
 * precedence, calls, and the place of every node. The given language builds the nodes.
 *
 * It knows no statements, functions or meanings. Invariant: nesting is bounded, so no text overflows the parser's
 * stack. The parser reads a chain of operators in a loop, but the chain becomes a deep tree: the language must bound
 * its length.
 */
import { type Place, shown, type Token, tokenize } from "./tokens.ts";

export interface Call<Tree> {
  readonly name: string;
  readonly args: readonly Tree[];
  readonly keywords: readonly { readonly name: string; readonly place: Place; readonly value: Tree }[];
  readonly place: Place;
}

/** The operators of a language, and the functions that build its trees. */
export interface Language<Tree> {
  /** Operator → the op that it calls. */
  readonly operators: ReadonlyMap<Operator, string>;
  /** The op that a minus sign before its operand calls. */
  readonly sign: string;
  number(value: number, place: Place): Tree;
  name(name: string, place: Place): Tree;
  /** An operator or a sign; `place` is the place of its symbol. */
  operation(name: string, operands: readonly Tree[], place: Place): Tree;
  call(call: Call<Tree>): Tree;
  /** A language without it has no lists, no quoted names and no named arguments. */
  list?(items: readonly Tree[], place: Place): Tree;
  error(problem: string, place: Place): Error;
}

/** The outermost expression is level 1; parentheses, calls, signs and right operands go one level deeper. */
export const NESTING_MAX = 64;

/** Operator precedence, the same in every language: -a * b is (-a) * b, and -a ^ b is -(a ^ b). */
export const BINDING = {
  "<": 1,
  "<=": 1,
  ">": 1,
  ">=": 1,
  "==": 1,
  "!=": 1,
  "+": 2,
  "-": 2,
  "*": 3,
  "/": 3,
  "@": 3,
  "^": 5,
} as const;
export const SIGN_BINDING = 4;
/** a ^ b ^ c is a ^ (b ^ c). */
const RIGHT_ASSOCIATIVE = "^";

/** A symbol between two operands. */
export type Operator = keyof typeof BINDING;

/** Reads one text from start to end. A method that does not find what it expects throws the language's error. */
export class Parser<Tree> {
  readonly #language: Language<Tree>;
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  /** For `line` see {@link tokenize}. */
  constructor(text: string, language: Language<Tree>, line?: number) {
    this.#language = language;
    this.#tokens = tokenize(text, line);
  }

  /** The next token; after the last one, the end token. */
  get next(): Token {
    return this.#tokens[this.#at] as Token;
  }

  /** Consumes the next token if it is this symbol. */
  skip(symbol: string): boolean {
    const isNext = this.#isSymbol(symbol, this.#at);
    if (isNext) this.#at += 1;
    return isNext;
  }

  /** Consumes `NAME =` if that comes next. */
  target(): { readonly name: string; readonly place: Place } | undefined {
    const { kind, text: name, place } = this.next;
    if (kind !== "name" || !this.#isSymbol("=", this.#at + 1)) return undefined;
    this.#at += 2;
    return { name, place };
  }

  /** Consumes a name; `wanted` describes it in the error. */
  name(wanted: string): string {
    const { kind, text } = this.next;
    if (kind !== "name") this.fail(wanted);
    this.#at += 1;
    return text;
  }

  expect(symbol: string): void {
    if (!this.skip(symbol)) this.fail(`"${symbol}"`);
  }

  /** Throws an error saying that `wanted` was expected in place of the next token. */
  fail(wanted: string): never {
    throw this.#language.error(`expected ${wanted}, found ${shown(this.next)}`, this.next.place);
  }

  expression(): Tree {
    return this.#operation(0);
  }

  #isSymbol(symbol: string, at: number): boolean {
    const token = this.#tokens[at];
    return token?.text === symbol && token.kind === "symbol";
  }

  /** Parses an expression whose operators bind at least as tightly as `bindingMin`. */
  #operation(bindingMin: number): Tree {
    const language = this.#language;
    this.#depth += 1;
    if (this.#depth > NESTING_MAX) {
      throw language.error(`cannot nest deeper than ${NESTING_MAX}`, this.next.place);
    }
    let left = this.#operand();
    for (;;) {
      const { kind, text, place } = this.next;
      const operator = text as Operator;
      const name = kind === "symbol" ? language.operators.get(operator) : undefined;
      if (name === undefined) break;
      const binding = BINDING[operator];
      if (binding < bindingMin) break;
      this.#at += 1;
      const right = this.#operation(operator === RIGHT_ASSOCIATIVE ? binding : binding + 1);
      left = language.operation(name, [left, right], place);
    }
    this.#depth -= 1;
    return left;
  }

  #operand(): Tree {
    const language = this.#language;
    const { kind, text, place } = this.next;
    if (kind === "number" || kind === "name" || (kind === "quoted" && language.list)) {
      this.#at += 1;
      if (kind === "number") return language.number(Number(text), place);
      if (kind === "quoted") return language.name(text.slice(1, -1), place);
      return this.skip("(")
        ? language.call({ name: text, ...this.#parts(")"), place })
        : language.name(text, place);
    }
    if (this.skip("-")) return language.operation(language.sign, [this.#operation(SIGN_BINDING)], place);
    if (language.list && this.skip("[")) return language.list(this.#parts("]").args, place);
    if (!this.skip("(")) this.fail(this.#isPower() ? "a value (a power is written a ^ b)" : "a value");
    const inner = this.#operation(0);
    this.expect(")");
    return inner;
  }

  /** Whether the text has Python's `**` here. */
  #isPower(): boolean {
    return this.#isSymbol("*", this.#at) && this.#isSymbol("*", this.#at - 1);
  }

  /** Parses arguments or items up to `close`; only arguments may have names. */
  #parts(close: ")" | "]"): Pick<Call<Tree>, "args" | "keywords"> {
    const args: Tree[] = [];
    const keywords: Call<Tree>["keywords"][number][] = [];
    if (this.skip(close)) return { args, keywords };
    const mayName = close === ")" && this.#language.list;
    do {
      const target = mayName ? this.target() : undefined;
      if (target) keywords.push({ ...target, value: this.#operation(0) });
      else if (keywords.length > 0) this.fail("NAME=VALUE after another NAME=VALUE");
      else args.push(this.#operation(0));
    } while (this.skip(","));
    if (!this.skip(close)) this.fail(`"," or "${close}"`);
    return { args, keywords };
  }
}
