/** Tests of each op and reduction against results written by hand, because the op table is the reference. */
import assert from "node:assert/strict";
import { Arena } from "../../../kernels/arena.ts";
import { Program } from "../../../kernels/compiler/compile.ts";
import { REDUCTIONS } from "../../../kernels/language/formula_reductions.ts";
import { OPS } from "../../../kernels/language/ops.ts";
import { SPECIAL as SPECIAL_NUMBERS } from "../support/special.ts";
import { evaluateScalars, runCompiled, runInterpreted } from "../../../kernels/compiler/runner.ts";

const TINY = 2 ** -140, SMALLEST = 2 ** -126, LARGEST = Math.fround(3.4028234663852886e38);
const { fround } = Math;

/** Op → rows of arguments followed by the result. Every op has at least one row. */
const CASES: Readonly<Record<string, readonly (readonly number[])[]>> = {
  // 2^24 + 1 is not a float32 number: the tie rounds to even, and anything above it to the next number.
  add: [[1, 2, 3], [2 ** 24, 1, 2 ** 24], [2 ** 24 + 2, 1, 2 ** 24 + 4], [-0, 0, 0], [-0, -0, -0], [
    Infinity,
    -Infinity,
    NaN,
  ]],
  sub: [[1, 3, -2], [0, 0, 0], [-0, 0, -0], [2 ** -24, 1, -(1 - 2 ** -24)], [Infinity, Infinity, NaN]],
  mul: [[3, -2, -6], [0, -1, -0], [0, Infinity, NaN], [LARGEST, 2, Infinity], [
    fround(0.1),
    fround(0.1),
    fround(fround(0.1) ** 2),
  ]],
  div: [[1, 3, fround(1 / 3)], [1, -0, -Infinity], [0, 0, NaN], [1, Infinity, 0]],
  pow: [[2, 10, 1024], [0, 0, 1], [-8, 3, -512], [-8, 1 / 2, NaN], [2, -1, 0.5], [
    fround(0.999),
    3,
    fround(fround(0.999) ** 3),
  ]],
  neg: [[1, -1], [0, -0], [-Infinity, Infinity]],
  lt: [[1, 2, 1], [2, 1, 0], [1, 1, 0], [-0, 0, 0], [NaN, 1, 0], [1, NaN, 0]],
  le: [[1, 2, 1], [2, 1, 0], [1, 1, 1], [0, -0, 1], [NaN, NaN, 0]],
  gt: [[1, 2, 0], [2, 1, 1], [1, 1, 0], [0, -0, 0], [NaN, 1, 0], [1, NaN, 0]],
  ge: [[1, 2, 0], [2, 1, 1], [1, 1, 1], [-0, 0, 1], [NaN, NaN, 0]],
  eq: [[1, 1, 1], [1, 2, 0], [-0, 0, 1], [NaN, NaN, 0], [Infinity, Infinity, 1]],
  ne: [[1, 1, 0], [1, 2, 1], [-0, 0, 0], [NaN, NaN, 1]],
  where: [[1, 5, 6, 5], [0, 5, 6, 6], [1, -0, 6, -0], [0, NaN, 6, 6]],
  min: [[1, 2, 1], [2, 1, 1], [-0, 0, -0], [0, -0, 0], [NaN, 1, NaN], [1, NaN, 1]],
  max: [[1, 2, 2], [2, 1, 2], [-0, 0, -0], [0, -0, 0], [NaN, 1, NaN], [1, NaN, 1]],
  flush: [[TINY, 0], [-TINY, -0], [SMALLEST, SMALLEST], [-SMALLEST, -SMALLEST], [-0, -0], [NaN, NaN], [
    -Infinity,
    -Infinity,
  ]],
  abs: [[-1, 1], [-0, 0], [-Infinity, Infinity], [NaN, NaN]],
  sqrt: [[4, 2], [2, fround(Math.SQRT2)], [-0, -0], [-1, NaN], [TINY, 2 ** -70]],
  floor: [[1.5, 1], [-1.5, -2], [-0, -0], [Infinity, Infinity]],
  ceil: [[1.5, 2], [-1.5, -1], [-0.5, -0], [-Infinity, -Infinity]],
  round: [[1.5, 2], [2.5, 2], [-0.5, -0], [-1.5, -2], [0.49999997, 0], [-0, -0], [NaN, NaN], [
    2 ** 23 + 1,
    2 ** 23 + 1,
  ], [
    -Infinity,
    -Infinity,
  ]],
  exp: [[0, 1], [1, fround(Math.E)], [-Infinity, 0], [100, Infinity]],
  log: [[1, 0], [fround(10), fround(Math.log(10))], [0, -Infinity], [-1, NaN]],
  cos: [[0, 1], [fround(1), fround(Math.cos(1))], [Infinity, NaN]],
  sign: [[3, 1], [-TINY, -1], [0, 0], [-0, -0], [NaN, NaN], [-Infinity, -1]],
  clamp: [
    [5, -1, 1, 1],
    [-5, -1, 1, -1],
    [0.5, -1, 1, 0.5],
    [NaN, -1, 1, NaN],
    [-0, 0, 1, -0],
    [0, 2, 1, 2],
    [9, 2, 1, 2],
  ],
  mod: [[7, 3, 1], [-7, 3, 2], [7, -3, -2], [6, 3, 0], [0.75, 0.5, 0.25], [1, 0, NaN], [2 ** 24 - 1, 5, 0]],
};

/** `op` applied to g, m and v, as a formula. */
function formula(op: string, arity: number): string {
  const { symbol, mask } = OPS.get(op) ?? {};
  const names = ["g", "m", "v"].slice(0, arity);
  if (mask) return `where(g ${symbol} m, 1, 0)`;
  if (op === "where") return "where(g != 0, m, v)";
  if (symbol) return arity === 1 ? `${symbol}g` : names.join(` ${symbol} `);
  return `${op}(${names.join(", ")})`;
}

Deno.test("every op returns what its row of the table says, for elements and for scalars", () => {
  assert.deepEqual([...OPS.keys()].filter((op) => !(op in CASES)), [], "ops without a case");
  const arena = new Arena({ bytesMax: 1 << 20 });
  const offsets = ["g", "m", "v", "x"].map((name) => [name, arena.allocate(64)] as const);
  for (const [op, rows] of Object.entries(CASES)) {
    for (const row of rows) {
      const arity = row.length - 1, wanted = row[arity];
      const text = `${op}(${row.slice(0, arity)}) = ${wanted}`;
      const names = { tensors: ["g", "m", "v", "x"], stored: ["x"], uniforms: [] };
      const program = new Program([`x = ${formula(op, arity)}`], names);
      for (const runner of [runCompiled, runInterpreted]) {
        for (const rowLength of [1, 4, 16]) {
          offsets.forEach(([, offset], n) => arena.f32(offset, 16).fill(row[n] ?? 0));
          runner(arena, {
            kernel: program.kernel(),
            tensors: Object.fromEntries(offsets),
            rowCount: 1,
            rowLength,
            uniforms: {},
          });
          const x = arena.f32(offsets[3]?.[1] as number, rowLength);
          assert.ok(x.every((value) => Object.is(value, wanted)), `${text}, found ${x}`);
        }
      }
      const scalar = new Program([`x = ${formula(op, arity)}`], {
        tensors: [],
        stored: [],
        uniforms: ["g", "m", "v"],
      });
      const { x } = evaluateScalars(scalar, { g: row[0] ?? 0, m: row[1] ?? 0, v: row[2] ?? 0 });
      assert.ok(Object.is(x, wanted), `scalar ${text}, found ${x}`);
    }
  }
});

const REDUCED: Readonly<Record<string, readonly (readonly [readonly number[], number])[]>> = {
  sum: [[[1, 2, 3.5], 6.5], [[], 0], [[2 ** 24, 1, 1], 2 ** 24 + 2], [[LARGEST, LARGEST], Infinity], [[
    NaN,
    1,
  ], NaN]],
  mean: [[[1, 2, 6], 3], [[LARGEST, LARGEST], LARGEST], [[], NaN], [[1, 0, 0], fround(1 / 3)]],
  squares: [[[3, -4], 25], [[], 0], [[1e20, 0].map(fround), Infinity]],
  // The sum of squares overflows float32, so the norm is infinite although it would fit.
  norm: [[[3, -4], 5], [[], 0], [[fround(1e20)], Infinity], [[fround(1e-30)], 0], [[-Infinity], Infinity]],
  peak: [[[3, -4, 1], 4], [[], 0], [[-0, 0], 0], [[1, NaN, Infinity], NaN], [[NaN, 1], NaN], [
    [TINY, -TINY],
    TINY,
  ], [
    Array.from({ length: 21 }, (_, n) => n === 19 ? -9 : n / 4),
    9,
  ]],
  count: [[[3, -4, 1], 3], [[], 0], [[NaN], 1]],
};

Deno.test("every reduction returns what its row of the table says", () => {
  assert.deepEqual(
    [...REDUCTIONS.keys()].filter((name) => !(name in REDUCED)),
    [],
    "reductions without a case",
  );
  const arena = new Arena({ bytesMax: 1 << 20 });
  const g = arena.allocate(128);
  for (const [name, rows] of Object.entries(REDUCED)) {
    const program = new Program([`r = ${name}(g)`], { tensors: ["g"], stored: [], uniforms: [] });
    for (const [values, wanted] of rows) {
      arena.f32(g, values.length).set(values);
      for (const runner of [runCompiled, runInterpreted]) {
        const call = {
          kernel: program.kernel(),
          tensors: { g },
          rowCount: 1,
          rowLength: values.length,
          uniforms: {},
        };
        const { r } = runner(arena, call);
        assert.ok(Object.is(r, wanted), `${name}(${values}) = ${wanted}, found ${r}`);
      }
    }
  }
});

Deno.test("`keeps` of an op: where one of those arguments is not finite, neither is the result", () => {
  const others = [...SPECIAL_NUMBERS, 3, -2];
  let tried = 0;
  for (const [name, { keeps = 0, arity, evaluate }] of OPS) {
    if (keeps === 0) continue;
    assert.ok(keeps <= arity && evaluate, `${name} has so many arguments`);
    for (let place = 0; place < keeps; place++) {
      for (const bad of [NaN, Infinity, -Infinity]) {
        for (const other of others) {
          const args = [other, other, other];
          args[place] = bad;
          const [a = 0, b = 0, c = 0] = args;
          assert.ok(!Number.isFinite(evaluate(a, b, c)), `${name}(${args.slice(0, arity)})`);
          tried += 1;
        }
      }
    }
  }
  assert.ok(tried > 100, `${tried} were tried`);
});
