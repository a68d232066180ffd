/** Tests of the graph: what is refused and where, which nodes are shared, what is stored. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Program } from "../../../kernels/compiler/compile.ts";
import { FormulaError } from "../../../kernels/language/formula_syntax.ts";
import { buildGraph, type Graph } from "../../../kernels/language/graph.ts";

const SCOPE = { tensors: ["w", "g", "m"], stored: ["w", "m"], uniforms: ["a", "b"] };

const graphOf = (...lines: string[]): Graph => buildGraph(lines, SCOPE);
/** The ops of the arithmetic, without leaves and flushes. */
const opsOf = ({ nodes }: Graph) =>
  nodes.map(({ op }) => op).filter((op) => !/number|uniform|tensor|flush/.test(op));

const ERRORS: readonly (readonly [string, number, RegExp])[] = [
  ["w = g * x", 9, /Unknown name "x", known are a, b, w, g, m/],
  ["w = __proto__", 5, /Unknown name "__proto__"/],
  ["w = sqrt", 5, /Unknown name "sqrt"/],
  ["w = 1 + rsqrt(g)", 9, /Unknown function "rsqrt", known are where, min, .*clamp, .*sum, mean.*, norm/],
  ["w = constructor(g)", 5, /Unknown function "constructor"/],
  ["w = g(m)", 5, /Unknown function "g"/],
  ["w = sqrt()", 5, /sqrt takes 1 argument, found 0/],
  ["w = sqrt(g, m)", 5, /sqrt takes 1 argument, found 2/],
  ["w = max(g)", 5, /max takes 2 arguments, found 1/],
  ["w = clamp(g, a)", 5, /clamp takes 3 arguments, found 2/],
  ["w = norm(g, m)", 5, /norm takes 1 argument, found 2/],
  ["w = g < m", 1, /Cannot assign a comparison to "w", use where/],
  ["x = a < b", 1, /Cannot assign a comparison to "x"/],
  ["w = 1 + (g < m)", 7, /\+ cannot use a comparison as a number/],
  ["w = -(g < m)", 5, /- cannot use a comparison as a number/],
  ["w = g < m < a", 11, /< cannot use a comparison as a number/],
  ["w = where(g, m, a)", 5, /where needs a comparison as its first argument/],
  ["w = where(g < m, g < m, a)", 5, /where cannot use a comparison as a number/],
  ["w = sum(g < m)", 5, /sum cannot use a comparison as a number/],
  ["w = g * norm(a)", 9, /norm needs one number per element, found one number per step/],
  ["w = mean(norm(g))", 5, /mean needs one number per element/],
  ["sqrt = g", 1, /Cannot assign to "sqrt", it names a function/],
  ["norm = norm(g)", 1, /Cannot assign to "norm", it names a function/],
  ["where = g", 1, /Cannot assign to "where"/],
];

Deno.test("buildGraph() refuses unknown names, wrong types and wrong targets, and points at them", () => {
  for (const [text, column, message] of ERRORS) {
    assert.throws(() => graphOf("m = m + g", text), (error) => {
      assert.ok(error instanceof FormulaError, text);
      assert.match(error.message, message);
      assert.deepEqual([error.line, error.column], [2, column], error.message);
      return true;
    });
  }
});

Deno.test("buildGraph() knows a temporary only after its line", () => {
  assert.throws(() => graphOf("w = u", "u = g"), /Unknown name "u".*line 1, column 5/);
  assert.equal(graphOf("u = g", "w = u").stores.size, 1);
});

Deno.test("buildGraph() allows the names of operators as names", () => {
  const graph = graphOf("sub = g - m", "w = sub * sub");
  assert.deepEqual(opsOf(graph), ["sub", "mul"]);
});

Deno.test("buildGraph() makes equal expressions one node", () => {
  assert.deepEqual(opsOf(graphOf("m = g * g + g * g", "w = g * g")), ["mul", "add"]);
  assert.deepEqual(opsOf(graphOf("w = (g - m) * (g - m)")), ["sub", "mul"]);
  const graph = graphOf("m = norm(g) * g", "w = w / norm(g)");
  assert.equal(graph.nodes.filter(({ op }) => op === "norm").length, 1);
  assert.equal(graph.nodes.filter(({ op }) => op === "tensor").length, 3);
});

Deno.test("buildGraph() keeps expressions apart that only look equal", () => {
  // g - m and m - g; 0 and -0; the old and the new m.
  assert.deepEqual(opsOf(graphOf("w = (g - m) * (m - g)")), ["sub", "sub", "mul"]);
  const zeros = graphOf("w = g * 0 + g * -0");
  assert.deepEqual(opsOf(zeros), ["mul", "neg", "mul", "add"]);
  const graph = graphOf("w = m * a", "m = m + g", "w = w + m * a");
  assert.deepEqual(opsOf(graph), ["mul", "add", "mul", "add"]);
});

Deno.test("buildGraph() folds and reorders nothing", () => {
  assert.deepEqual(opsOf(graphOf("w = 1 + 2 + a + b")), ["add", "add", "add"]);
  assert.deepEqual(opsOf(graphOf("w = g * 1 + 0")), ["mul", "add"]);
});

Deno.test("buildGraph() rounds literals to float32 once", () => {
  const literals = graphOf("w = g * 0.1 + 1e-50 + 1e39").nodes.filter(({ op }) => op === "number");
  assert.deepEqual(literals.map(({ value }) => value), [Math.fround(0.1), 0, Infinity]);
});

Deno.test("buildGraph() gives arguments smaller ids and counts the reductions below", () => {
  const { nodes, stores } = graphOf("u = g / norm(g)", "w = w - u * mean(u * m)", "m = m + g");
  nodes.forEach(({ args }, id) => args.forEach((arg) => assert.ok(arg < id)));
  const levels = nodes.filter(({ op }) => op === "norm" || op === "mean").map(({ level }) => level);
  assert.deepEqual(levels, [1, 2]);
  assert.deepEqual([...stores.keys()].map((name) => nodes[stores.get(name) as number]?.level), [2, 0]);
});

Deno.test("buildGraph() stores assigned tensors and returns assigned scalars", () => {
  const graph = graphOf("a = a * 2", "n = norm(g)", "g = g * a", "u = g * b", "w = w - u");
  assert.deepEqual([...graph.stores.keys()], ["w"]);
  // An assigned name means its new value, even if it names a hyperparameter or the gradient.
  assert.deepEqual([...graph.scalars.keys()], ["a", "n"]);
  assert.equal(graph.nodes[graph.scalars.get("a") as number]?.op, "mul");
  assert.deepEqual([...graphOf("m = 0").stores.keys()], ["m"]);
});

Deno.test("Program.kernel() flushes what it stores, unless it is a copy", () => {
  const program = new Program(["m = g", "u = g * g", "w = u * a"], SCOPE);
  const stores = program.kernel().passes.flatMap((pass) =>
    pass.stores.map(({ tensor, flushes }) => [pass.tensors[tensor]?.name, flushes])
  );
  assert.deepEqual(Object.fromEntries(stores), { m: false, w: true });
});

Deno.test("Program.kernel() refuses to store in a layout that cannot be written", () => {
  const program = new Program(["w = w + g"], SCOPE);
  assert.throws(
    () => program.kernel({ w: { type: "f16" } }),
    /RangeError: Cannot store "w" as f16 sequential/,
  );
  assert.throws(() => program.kernel({ w: { access: "splat" } }), /Cannot store "w" as f32 splat/);
  assert.equal(program.kernel({ m: { type: "f16" } }).passes.length, 1);
});

Deno.test("Program.kernel() splits only at reductions, and stores as early as possible", () => {
  const passes = (...lines: string[]) =>
    new Program(lines, SCOPE).kernel().passes.map((
      { reductions, stores },
    ) => [reductions.length, stores.length]);
  assert.deepEqual(passes("w = w - g", "m = g"), [[0, 2]]);
  assert.deepEqual(passes("w = w - g", "n = norm(g)", "s = sum(w)"), [[2, 1]]);
  assert.deepEqual(passes("n = norm(g)"), [[1, 0]]);
  assert.deepEqual(passes("w = w / norm(g)"), [[1, 0], [0, 1]]);
  assert.deepEqual(passes("w = w / norm(g)", "n = norm(w)"), [[1, 0], [1, 1]]);
  assert.deepEqual(passes("m = g", "n = norm(g / norm(m))"), [[1, 0], [1, 1]]);
  assert.deepEqual(passes("x = a * 2"), []);
});

Deno.test("buildGraph() returns a graph or throws a FormulaError, for any well-formed text", () => {
  const name = fc.constantFrom("w", "g", "m", "a", "u", "1", "sqrt", "x");
  const expression = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 4 },
      name,
      fc.tuple(
        fc.constantFrom("sqrt", "sum", "where", "min", "clamp", "g"),
        fc.array(tie("node"), { minLength: 1 }),
      )
        .map(([f, args]) => `${f}(${args.join(", ")})`),
      fc.tuple(tie("node"), fc.constantFrom("+", "<", "^"), tie("node")).map((parts) =>
        `(${parts.join(" ")})`
      ),
    ),
  })).node;
  const line = fc.tuple(fc.constantFrom("w", "m", "g", "u", "a", "min"), expression).map((sides) =>
    sides.join(" = ")
  );
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 3 }), (lines) => {
      try {
        const { nodes, stores } = graphOf(...lines);
        assert.ok([...stores.values()].every((id) => id < nodes.length));
      } catch (error) {
        if (!(error instanceof FormulaError)) throw error;
        const line = lines[error.line - 1] ?? "";
        assert.ok(error.column >= 1 && error.column <= line.length + 1);
      }
    }),
    { numRuns: 400 },
  );
});
