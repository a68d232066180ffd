/**
 * Random expressions of the formula and loss languages, and two ways to write them: with all parentheses, and with
 * the fewest. Operator precedence is stated here a second time, independently of the parser.
 */
import assert from "node:assert/strict";
import fc from "fast-check";

export type Written =
  | { readonly kind: "leaf"; readonly text: string }
  | { readonly kind: "sign"; readonly operand: Written }
  | { readonly kind: "infix"; readonly symbol: string; readonly left: Written; readonly right: Written }
  /** A call, or a list when the name is empty. */
  | { readonly kind: "parts"; readonly name: string; readonly parts: readonly Part[] };

interface Part {
  /** The name of a named argument. */
  readonly keyword?: string;
  readonly value: Written;
}

const POWER = 5, SIGN = 4, PRODUCT = 3, SUM = 2, COMPARISON = 1;
const BINDING: Readonly<Record<string, number>> = {
  "^": POWER,
  "*": PRODUCT,
  "/": PRODUCT,
  "@": PRODUCT,
  "+": SUM,
  "-": SUM,
};
const bindingOf = (symbol: string) => BINDING[symbol] ?? COMPARISON;

/** Expressions of these operators and leaves; with `extras`, also lists and named arguments. */
export function trees(
  { operators, leaves, extras }: {
    readonly operators: readonly string[];
    readonly leaves: readonly string[];
    readonly extras: boolean;
  },
): fc.Arbitrary<Written> {
  return fc.letrec<{ tree: Written }>((tie) => {
    const parts = fc.array(tie("tree").map((value): Part => ({ value })), { minLength: 1, maxLength: 3 });
    const keywords = fc.array(
      fc.record({ keyword: fc.constantFrom("axis", "keepdims"), value: tie("tree") }),
      { maxLength: extras ? 2 : 0 },
    );
    const call = fc.tuple(fc.constantFrom("sqrt", "f"), parts, keywords)
      .map(([name, parts, keywords]): Written => ({ kind: "parts", name, parts: [...parts, ...keywords] }));
    const list = parts.map((parts): Written => ({ kind: "parts", name: "", parts }));
    return {
      tree: fc.oneof(
        { maxDepth: 6, withCrossShrink: true },
        fc.constantFrom(...leaves).map((text): Written => ({ kind: "leaf", text })),
        fc.tuple(fc.constantFrom(...operators), tie("tree"), tie("tree"))
          .map(([symbol, left, right]): Written => ({ kind: "infix", symbol, left, right })),
        fc.tuple(fc.constantFrom(...operators), tie("tree"), tie("tree"))
          .map(([symbol, left, right]): Written => ({ kind: "infix", symbol, left, right })),
        tie("tree").map((operand): Written => ({ kind: "sign", operand })),
        call,
        ...extras ? [list] : [],
      ),
    };
  }).tree;
}

export function writeFull(tree: Written): string {
  switch (tree.kind) {
    case "leaf":
      return tree.text;
    case "sign":
      return `(-${writeFull(tree.operand)})`;
    case "infix":
      return `(${writeFull(tree.left)} ${tree.symbol} ${writeFull(tree.right)})`;
    case "parts": {
      const parts = tree.parts.map(({ keyword, value }) =>
        `${keyword ? `${keyword}=` : ""}${writeFull(value)}`
      );
      return tree.name ? `${tree.name}(${parts.join(", ")})` : `[${parts.join(", ")}]`;
    }
  }
}

/** Splits the text of a tree into pieces; each parenthesis around an operand is a piece of its own. */
function piecesOf(tree: Written): string[] {
  const enclosed = (operand: Written, isNeeded: boolean) =>
    isNeeded ? ["(", ...piecesOf(operand), ")"] : piecesOf(operand);
  const isLooser = (operand: Written, than: number) =>
    operand.kind === "infix" && bindingOf(operand.symbol) < than;
  switch (tree.kind) {
    case "leaf":
      return [tree.text];
    case "sign":
      return ["-", ...enclosed(tree.operand, isLooser(tree.operand, SIGN))];
    case "infix": {
      const { symbol, left, right } = tree;
      const binding = bindingOf(symbol), isPower = symbol === "^";
      const leftNeeds = isLooser(left, isPower ? binding + 1 : binding) || (left.kind === "sign" && isPower);
      return [
        ...enclosed(left, leftNeeds),
        symbol,
        ...enclosed(right, isLooser(right, isPower ? binding : binding + 1)),
      ];
    }
    case "parts": {
      const parts = tree.parts.flatMap(({ keyword, value }) => [
        ", ",
        keyword ? `${keyword}=` : "",
        ...piecesOf(value),
      ]);
      return [tree.name ? `${tree.name} (` : "[", ...parts.slice(1), tree.name ? " )" : " ]"];
    }
  }
}

/** Writes a tree; fails if a pair of parentheses is redundant. `parsed` rewrites a text with all its parentheses. */
export function writeFewest(tree: Written, parsed: (text: string) => string): string {
  const pieces = piecesOf(tree), full = writeFull(tree);
  const open: number[] = [];
  for (const [at, piece] of pieces.entries()) {
    if (piece === "(") open.push(at);
    if (piece !== ")") continue;
    const pair = [open.pop(), at];
    const text = pieces.filter((_, at) => !pair.includes(at)).join("");
    assert.notEqual(parsed(text), full, `${pieces.join("")} does not need all its parentheses`);
  }
  return pieces.join("");
}
