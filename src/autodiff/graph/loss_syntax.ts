/**
 * Loss text → syntax trees. Statements are parted by ";": `NAME = EXPRESSION` names a part, the last one is the loss.
 *
 *     h = relu(matmul(x, 'dense/kernel') + 'dense/bias'); mean(square(h - y), axis=0)
 *
 * Knows no function, no variable and no shape (compile_loss.ts does). Every node keeps its place in the text, so that
 * whoever refuses it later can point there. Length, depth and nesting (kernels/language/syntax.ts) are bounded: hostile text is
 * refused, never followed.
 */
import { type Call, type Language, Parser } from "../../../kernels/language/syntax.ts";
import type { Place } from "../../../kernels/language/tokens.ts";
import { refusal, type StepwellError } from "../../errors.ts";

export const CHARACTERS_MAX = 16_384;
/** Of the tree: a chain of operators is a tree as deep as it is long. */
export const DEPTH_MAX = 1000;

export type Expression =
  & { readonly place: Place; readonly depth: number }
  & (
    | { readonly kind: "number"; readonly value: number }
    /** Between quotes it may hold anything but those. */
    | { readonly kind: "name"; readonly name: string }
    | { readonly kind: "list"; readonly items: readonly Expression[] }
    | { readonly kind: "call" } & Call<Expression>
  );

export type CallExpression = Extract<Expression, { kind: "call" }>;

export interface Statement {
  /** Undefined for the last one. */
  readonly target: { readonly name: string; readonly place: Place } | undefined;
  readonly expression: Expression;
}

/** What is wrong with a loss, and where. */
export function lossError(problem: string, place?: Place): StepwellError {
  const message = place ? `${problem} (line ${place.line}, column ${place.column})` : problem;
  return refusal("invalid_loss", "take the loss", { path: "loss", called: "" }, message);
}

/** Operators and the functions that they call. */
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
/** What a minus before its operand calls. */
export const SIGN = "negative";

const LOSSES: Language<Expression> = {
  operators: OPERATORS,
  sign: SIGN,
  number: (value, place) => ({ kind: "number", value, place, depth: 1 }),
  name: (name, place) => ({ kind: "name", name, place, depth: 1 }),
  operation: (name, args, place) => {
    const [first] = args;
    // -1 is a literal, which options take.
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
