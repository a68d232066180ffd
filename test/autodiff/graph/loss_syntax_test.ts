/** Loss text → trees: precedence and places. compile_loss_test.ts tests refusals. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Expression, parseLoss } from "../../../src/autodiff/graph/loss_syntax.ts";
import { trees, writeFewest, writeFull } from "../../kernels/support/written.ts";

const SYMBOLS: ReadonlyMap<string, string> = new Map([
  ["less", "<"],
  ["less_equal", "<="],
  ["greater", ">"],
  ["greater_equal", ">="],
  ["equal", "=="],
  ["not_equal", "!="],
  ["add", "+"],
  ["subtract", "-"],
  ["multiply", "*"],
  ["divide", "/"],
  ["matmul", "@"],
  ["pow", "^"],
]);

/** A tree with every pair of parentheses written out. */
function show(expression: Expression): string {
  switch (expression.kind) {
    case "number":
      // A sign before a number belongs to the number.
      return expression.value < 0 || Object.is(expression.value, -0)
        ? `(-${-expression.value})`
        : String(expression.value);
    case "name":
      return /^\w+$/.test(expression.name) ? expression.name : `'${expression.name}'`;
    case "list":
      return `[${expression.items.map(show).join(", ")}]`;
    case "call": {
      const { name, args, keywords } = expression;
      const symbol = SYMBOLS.get(name);
      if (symbol) return `(${args.map(show).join(` ${symbol} `)})`;
      if (name === "negative") return `(-${args.map(show)})`;
      const named = keywords.map(({ name, value }) => `${name}=${show(value)}`);
      return `${name}(${[...args.map(show), ...named].join(", ")})`;
    }
  }
}

function parsed(text: string): string {
  const [statement] = parseLoss(text);
  return show(statement?.expression as Expression);
}

for (
  const [text, tree] of [
    ["a - b - c", "((a - b) - c)"],
    ["a ^ b ^ c", "(a ^ (b ^ c))"],
    ["-a ^ b", "(-(a ^ b))"],
    ["-a * b", "((-a) * b)"],
    ["-a @ b", "((-a) @ b)"],
    ["a @ b * c", "((a @ b) * c)"],
    ["a @ b + c", "((a @ b) + c)"],
    ["2 ^ -t ^ 3 * 4", "((2 ^ (-(t ^ 3))) * 4)"],
    ["a == b < c", "((a == b) < c)"],
    ["-2 ^ 2", "(-(2 ^ 2))"],
    ["(-2) ^ 2", "((-2) ^ 2)"],
    ["f(a, -1, axis=[0, -1], keepdims=true)", "f(a, (-1), axis=[0, (-1)], keepdims=true)"],
    ["class + new * this", "(class + (new * this))"],
    ["'dense/kernel' + \"x\"", "('dense/kernel' + x)"],
    ["[]", "[]"],
  ] as const
) {
  Deno.test(`parseLoss() reads ${text} as ${tree}`, () => assert.equal(parsed(text), tree));
}

Deno.test("parseLoss() reads random trees back when they are written with the fewest parentheses", () => {
  const tree = trees({
    operators: [...SYMBOLS.values()],
    leaves: ["x", "if", "'dense/kernel'", "2", "0.5", "1e-7"],
    extras: true,
  });
  // -2 is a number: it does not show how many signs it was written with.
  const signs = (text: string) => text.replaceAll(/\(-\(-([\d.e-]+)\)\)/g, "$1");
  const normal = (text: string): string => signs(text) === text ? text : normal(signs(text));
  fc.assert(
    fc.property(tree, (tree) => {
      const meaning = (text: string) => normal(parsed(text));
      assert.equal(meaning(writeFewest(tree, meaning)), normal(writeFull(tree)));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("parseLoss() gives statements, parts and arguments their places when the text has several lines", () => {
  const [part, loss] = parseLoss("h =\n  x *'it';\n\n mean(h,\n  axis=0) ;\n");
  assert.deepEqual(part?.target, { name: "h", place: { line: 1, column: 1 } });
  assert.ok(part?.expression.kind === "call");
  assert.deepEqual(part.expression.place, { line: 2, column: 5 });
  assert.deepEqual(part.expression.args.map(({ place }) => place), [{ line: 2, column: 3 }, {
    line: 2,
    column: 6,
  }]);
  assert.equal(loss?.target, undefined);
  assert.ok(loss?.expression.kind === "call");
  assert.deepEqual(loss.expression.place, { line: 4, column: 2 });
  assert.deepEqual(loss.expression.keywords.map(({ name, place, value }) => [name, place, value.place]), [
    ["axis", { line: 5, column: 3 }, { line: 5, column: 8 }],
  ]);
});
