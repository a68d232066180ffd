/**
 * Parses the text of a loss to syntax trees. Statements are separated by ";": `NAME = EXPRESSION` names a part, and
 * the last statement is the loss.
 *
 *     h = relu(matmul(x, 'dense/kernel') + 'dense/bias'); mean(square(h - y), axis=0)
 *
 * Knows no function, no variable and no shape (compile_loss.ts does). Every node keeps its place in the text, so that
 * a later error can point there. Length, depth and nesting (kernels/language/syntax.ts) are limited against hostile
 * text.
 */
import { type Call, type Language, Parser } from "../../../kernels/language/syntax.ts";
import type { Place } from "../../../kernels/language/tokens.ts";
import { FLOAT32_OVERFLOW } from "../../float32.ts";
import { refusal, type StepwellError } from "../../errors.ts";

export const CHARACTERS_MAX = 16_384;
/** The greatest depth of the tree: a chain of operators is a tree as deep as it is long. */
export const DEPTH_MAX = 1000;

export type Expression =
  & { readonly place: Place; readonly depth: number }
  & (
    | { readonly kind: "number"; readonly value: number }
    /** A quoted name may contain anything except quotes. */
    | { readonly kind: "name"; readonly name: string }
    | { readonly kind: "list"; readonly items: readonly Expression[] }
    | { readonly kind: "call" } & Call<Expression>
  );

export type CallExpression = Extract<Expression, { kind: "call" }>;

export interface Statement {
  /** Undefined for the last statement. */
  readonly target: { readonly name: string; readonly place: Place } | undefined;
  readonly expression: Expression;
}

/** The error for a problem of a loss at a place in its text. */
export function lossError(problem: string, place?: Place): StepwellError {
  const message = place ? `${problem} (line ${place.line}, column ${place.column})` : problem;
  return refusal("invalid_loss", "take the loss", { path: "loss", called: "" }, message);
}

/** The operators and the functions that they call. */
export const OPERATORS: Language<Expression>["operators"] = new Map([
  ["<", "less"],
  ["<=", "less_equal"],
  [">", "greater"],
  [">=", "greater_equal"],
  ["==", "equal"],
  ["!=", "not_equal"],
  ["+", "add"],
  ["-", "subtract"],
  ["*", "multiply"],
  ["/", "divide"],
  ["@", "matmul"],
  ["^", "pow"],
]);
/** The function that a unary minus calls. */
export const SIGN = "negative";

const LOSSES: Language<Expression> = {
  operators: OPERATORS,
  sign: SIGN,
  number: (value, place) => {
    if (value < FLOAT32_OVERFLOW) return { kind: "number", value, place, depth: 1 };
    throw lossError(`${value} is a number that float32 cannot hold, must be within ±3.4028235e38`, place);
  },
  name: (name, place) => ({ kind: "name", name, place, depth: 1 }),
  operation: (name, args, place) => {
    const [first] = args;
    // -1 is a literal, so that options can take it.
    const isLiteral = name === SIGN && first?.kind === "number";
    return isLiteral
      ? { ...first, value: -first.value, place }
      : LOSSES.call({ name, args, keywords: [], place });
  },
  call: (call) => {
    const parts = [...call.args, ...call.keywords.map(({ value }) => value)];
    return { kind: "call", ...call, depth: depthOf(parts, call.place) };
  },
  list: (items, place) => ({ kind: "list", items, place, depth: depthOf(items, place) }),
  error: lossError,
};

function depthOf(parts: readonly Expression[], place: Place): number {
  const depth = 1 + parts.reduce((most, part) => Math.max(most, part.depth), 0);
  if (depth > DEPTH_MAX) throw lossError(`cannot follow more than ${DEPTH_MAX} operations in one`, place);
  return depth;
}

/** The statements of a loss; only the last has no target. Throws invalid_loss. */
export function parseLoss(text: string): Statement[] {
  if (text.length > CHARACTERS_MAX) {
    throw lossError(`it has ${text.length} characters, must have at most ${CHARACTERS_MAX}`);
  }
  const parser = new Parser(text, LOSSES);
  const statements: Statement[] = [];
  for (;;) {
    const { place } = parser.next;
    const target = parser.target();
    statements.push({ target, expression: parser.expression() });
    const hasMore = parser.skip(";") && parser.next.kind !== "end";
    if (target && !hasMore) parser.fail('";" and then the loss itself');
    if (target) continue;
    if (parser.next.kind === "end") return statements;
    if (hasMore) throw lossError('this expression has no name, must be NAME = … before a ";"', place);
    parser.fail("an operator");
  }
}
