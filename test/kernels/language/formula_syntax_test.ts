/** Tests of the formula parser: precedence, the places of errors, and no other failure on any text. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Expression,
  FormulaError,
  LINE_LENGTH_MAX,
  parseFormula,
  rename,
} from "../../../kernels/language/formula_syntax.ts";
import { OPS } from "../../../kernels/language/ops.ts";
import { NESTING_MAX } from "../../../kernels/language/syntax.ts";
import { trees, writeFewest, writeFull } from "../support/written.ts";

/** Writes a tree with all its parentheses. */
function show(expression: Expression): string {
  if (expression.kind === "number") return String(expression.value);
  if (expression.kind === "name") return expression.name;
  const args = expression.args.map(show);
  const symbol = OPS.get(expression.op)?.symbol;
  if (!symbol) return `${expression.op}(${args.join(", ")})`;
  return args.length === 1 ? `(${symbol}${args[0]})` : `(${args.join(` ${symbol} `)})`;
}

function parsed(text: string): string {
  const [line] = parseFormula([`x = ${text}`]);
  return show(line?.expression as Expression);
}

function errorOf(lines: readonly string[]): FormulaError {
  try {
    parseFormula(lines);
  } catch (error) {
    assert.ok(error instanceof FormulaError, String(error));
    return error;
  }
  assert.fail(`No error in ${JSON.stringify(lines)}`);
}

const PRECEDENCE_TABLE: readonly (readonly [string, string])[] = [
  ["a - b - c", "((a - b) - c)"],
  ["a - (b - c)", "(a - (b - c))"],
  ["a / b / c", "((a / b) / c)"],
  ["a / b * c", "((a / b) * c)"],
  ["a + b * c", "(a + (b * c))"],
  ["(a + b) * c", "((a + b) * c)"],
  ["a * b + c * d", "((a * b) + (c * d))"],
  ["a ^ b ^ c", "(a ^ (b ^ c))"],
  ["a * b ^ c", "(a * (b ^ c))"],
  ["a ^ b * c", "((a ^ b) * c)"],
  ["-x^2", "(-(x ^ 2))"],
  ["(-x)^2", "((-x) ^ 2)"],
  ["2^-t", "(2 ^ (-t))"],
  ["2^-t^3", "(2 ^ (-(t ^ 3)))"],
  ["2^-t*3", "((2 ^ (-t)) * 3)"],
  ["-a * b", "((-a) * b)"],
  ["-a - b", "((-a) - b)"],
  ["a - -b", "(a - (-b))"],
  ["a * -b + c", "((a * (-b)) + c)"],
  ["--a", "(-(-a))"],
  ["a + b < c * d", "((a + b) < (c * d))"],
  ["a < b + c", "(a < (b + c))"],
  ["-a >= b", "((-a) >= b)"],
  ["a == b", "(a == b)"],
  ["a != b", "(a != b)"],
  ["a <= b", "(a <= b)"],
  ["a > b", "(a > b)"],
  ["where(a < b, c - d - e, f)", "where((a < b), ((c - d) - e), f)"],
  ["max(min(x, hi), -lo)", "max(min(x, hi), (-lo))"],
  ["sqrt(v)+e", "(sqrt(v) + e)"],
];

Deno.test("parseFormula() follows the table of precedence", () => {
  for (const [text, tree] of PRECEDENCE_TABLE) assert.equal(parsed(text), tree, text);
});

Deno.test("parseFormula() reads numbers and names in all their forms", () => {
  const numbers: [string, number][] = [
    ["0", 0],
    ["12", 12],
    ["1.5", 1.5],
    ["2.", 2],
    [".25", 0.25],
    ["1e-7", 1e-7],
    ["1E+3", 1000],
    [".5e1", 5],
    ["1e999", Infinity],
  ];
  for (const [text, value] of numbers) assert.equal(parsed(text), String(value), text);
  for (const name of ["w", "beta_1", "T", "_x", "A9", "add", "constructor", "e5"]) {
    assert.equal(parsed(name), name);
  }
  assert.equal(parsed("a\t+\t\tb  "), "(a + b)");
});

Deno.test("parseFormula() numbers lines and columns from 1", () => {
  const [first, second] = parseFormula(["m = g", "  w = m - 2 * sqrt(g)"]);
  assert.deepEqual([first?.target, first?.number, first?.expression.column], ["m", 1, 5]);
  assert.deepEqual([second?.target, second?.number], ["w", 2]);
  const sub = second?.expression;
  assert.ok(sub?.kind === "call");
  assert.deepEqual([sub.op, sub.column], ["sub", 9]);
  const [m, mul] = sub.args;
  assert.deepEqual([m?.column, mul?.column], [7, 13]);
  assert.ok(mul?.kind === "call");
  assert.deepEqual(mul.args.map(({ column }) => column), [11, 15]);
});

const ERRORS: readonly (readonly [string, number, RegExp])[] = [
  ["", 1, /Expected a name to assign to, found the end/],
  ["   ", 1, /Expected a name to assign to, found the end/],
  ["3 = w", 1, /Expected a name to assign to, found "3"/],
  ["w", 2, /Expected "=", found the end/],
  ["w + g", 3, /Expected "=", found "\+"/],
  ["w == g", 3, /Expected "=", found "=="/],
  ["w =", 4, /Expected a value, found the end/],
  ["w = g +", 8, /Expected a value, found the end/],
  ["w = * g", 5, /Expected a value, found "\*"/],
  ["w = g g", 7, /Expected an operator, found "g"/],
  ["w = g = m", 7, /Expected an operator, found "="/],
  ["w = 1.2.3", 8, /Expected an operator, found ".3"/],
  ["w = 2w", 6, /Expected an operator, found "w"/],
  ["w = (g + m", 11, /Expected "\)", found the end/],
  ["w = g)", 6, /Expected an operator, found "\)"/],
  ["w = ()", 6, /Expected a value, found "\)"/],
  ["w = sqrt(", 10, /Expected a value, found the end/],
  ["w = max(g,", 11, /Expected a value, found the end/],
  ["w = max(g m)", 11, /Expected "," or "\)", found "m"/],
  ["w = max(g, m", 13, /Expected "," or "\)", found the end/],
  ["w = 3(g)", 6, /Expected an operator, found "\("/],
  ["w = g, m", 6, /Expected an operator, found ","/],
  ["w = max(g, m=1)", 13, /Expected "," or "\)", found "="/],
  ["w = g @ m", 7, /Expected an operator, found "@"/],
  ["w = g ! m", 7, /Expected an operator, found "!"/],
  ["w = ! g", 5, /Expected a value, found "!"/],
  ["w = ..5", 5, /Expected a value, found "\."/],
  ["w = g ** 2", 8, /Expected a value \(a power is written a \^ b\), found "\*"/],
  ["w = +g", 5, /Expected a value, found "\+"/],
  ["w = [g]", 5, /Expected a value, found "\["/],
  ["w = 'g'", 5, /Expected a value, found 'g'/],
  ["w = g 'g'", 7, /Expected an operator, found 'g'/],
  ["w = 'g", 5, /Expected a value, found an unclosed quote/],
  ["w = größe", 7, /Expected an operator, found "ö"/],
  ["w = 💥", 5, /Expected a value, found "💥"/],
  ["w =\n g = m", 8, /Expected an operator, found "="/],
  ["w = g; m = g", 6, /Expected an operator, found ";"/],
  // The first error counts, whatever follows.
  ["w = g m §", 7, /Expected an operator, found "m"/],
  ["w = add(g, m)", 5, /Cannot call "add", it is written \+/],
  ["w = neg(g)", 5, /Cannot call "neg", it is written -/],
];

Deno.test("parseFormula() reports what is wrong, with line and column", () => {
  for (const [text, column, message] of ERRORS) {
    const error = errorOf(["m = g", text]);
    assert.match(error.message, message, text);
    assert.deepEqual([error.line, error.column], [2, column], text);
    assert.ok(error.message.endsWith(`(line 2, column ${column})`), error.message);
    assert.ok(error instanceof SyntaxError);
    assert.equal(error.name, "FormulaError");
  }
});

Deno.test("parseFormula() refuses lines that are too long or nest too deep, and accepts the longest allowed", () => {
  const longest = `x = ${"a".repeat(LINE_LENGTH_MAX - 4)}`;
  assert.equal(parseFormula([longest]).length, 1);
  assert.match(errorOf([`${longest}a`]).message, /2001 characters, at most 2000 \(line 1, column 1\)/);

  // The outermost expression is the first level.
  const nested = (depth: number) => `x = ${"(".repeat(depth)}a${")".repeat(depth)}`;
  assert.equal(parsed(nested(NESTING_MAX - 1).slice(4)), "a");
  const deep = errorOf([nested(NESTING_MAX)]);
  assert.match(deep.message, /nest deeper than 64/);
  assert.equal(deep.column, 4 + NESTING_MAX + 1);
  for (const hostile of ["-".repeat(1900) + "a", "a" + "^a".repeat(900), "sqrt(".repeat(300) + "a"]) {
    assert.match(errorOf([`x = ${hostile}`]).message, /nest deeper than 64/);
  }
  // A chain of operators makes a deep tree, but its text is not nested.
  assert.ok(parsed("a" + "-a".repeat(990)).startsWith("(".repeat(990)));
  // The depths of siblings do not add up.
  assert.ok(parsed(Array(400).fill("(a)").join("+")).endsWith(" + a)"));
});

Deno.test("parseFormula() returns lines or throws a FormulaError that points into the text, for any text", () => {
  const token = fc.constantFrom(
    ...["w", "g", "1", ".5e3", "+", "-", "*", "/", "^", "(", ")", ",", "<", ">=", "==", "=", "!", " ", "\t"],
    ...["sqrt(", "where(", "max(", "norm(", "add(", "\u00e9", "\n", "0x1", "1e", "__proto__"],
  );
  const text = fc.oneof(
    fc.array(token, { maxLength: 60 }).map((tokens) => tokens.join("")),
    fc.array(token, { maxLength: 60 }).map((tokens) => `w = ${tokens.join("")}`),
    fc.string({ unit: "binary", maxLength: 80 }),
  );
  fc.assert(
    fc.property(text, (line) => {
      try {
        const [first] = parseFormula([line]);
        // Writing the tree with all its parentheses does not change its meaning.
        const again = parsed(show(first?.expression as Expression).replaceAll("Infinity", "1e999"));
        assert.equal(again, show(first?.expression as Expression));
      } catch (error) {
        if (!(error instanceof FormulaError)) throw error;
        assert.ok(error.column >= 1 && error.column <= line.length + 1, `${error.message} in ${line}`);
        assert.equal(error.line, 1);
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("parseFormula() reads back random trees that are written with the fewest parentheses", () => {
  const operators = [...OPS.values()].flatMap(({ symbol, arity }) => arity === 2 ? symbol ?? [] : []);
  const tree = trees({ operators, leaves: ["w", "g", "beta_1", "2", "0.5", "1e-7"], extras: false });
  fc.assert(
    fc.property(tree, (tree) => assert.equal(parsed(writeFewest(tree, parsed)), writeFull(tree))),
    { numRuns: 1000 },
  );
});

Deno.test("rename() changes only names, in any text", () => {
  const own = (name: string) => name === "w" ? name : `${name}__x`;
  for (
    const [line, wanted] of [
      ["m = m+(g - m) * (1 - beta_1)", "m__x = m__x+(g__x - m__x) * (1 - beta_1__x)"],
      ["  w =\tw - sqrt (v)*sqrt ", "  w =\tw - sqrt (v__x)*sqrt__x "],
      ["w = 1e5 * e5", "w = 1e5 * e5__x"],
      ["w = § m 'm' \n m", "w = § m__x 'm' \n m__x"],
      ["", ""],
    ] as const
  ) assert.equal(rename(line, own), wanted);
  fc.assert(fc.property(fc.string({ unit: "binary" }), (line) => rename(line, (name) => name) === line));
});
