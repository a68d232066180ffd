/** Tests of calls and runners: the meaning of lines, the order of additions, and refused calls. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Arena } from "../../../kernels/arena.ts";
import { Program } from "../../../kernels/compiler/compile.ts";
import { interpretPass } from "../../../kernels/compiler/interpret.ts";
import type { Pass } from "../../../kernels/compiler/pass.ts";
import { evaluateScalars, runCompiled, runInterpreted } from "../../../kernels/compiler/runner.ts";
import { rules } from "../support/arbitrary.ts";
import { performLines, sumInOrder, type Value } from "../support/line_by_line.ts";
import { fillSpecial, random, sameBits } from "../support/special.ts";

const TENSORS = ["w", "g", "m", "v"], STORED = ["w", "m", "v"];
const UNIFORMS = { a: 0.1, b: -2.5, c: 3, T: 7 };

Deno.test("runners compute what the lines say, one line after the other", () => {
  fc.assert(
    fc.property(rules, fc.integer({ min: 1, max: 40 }), fc.nat(), (lines, count, seed) => {
      const program = new Program(lines, {
        tensors: TENSORS,
        stored: STORED,
        uniforms: Object.keys(UNIFORMS),
      });
      const arena = new Arena({ bytesMax: 1 << 20 });
      const tensors = Object.fromEntries(TENSORS.map((name) => [name, arena.allocate(4 * count)]));
      Object.values(tensors).forEach((offset, n) =>
        fillSpecial(arena, { offset, count, type: "f32", seed: seed + n })
      );
      const values = new Map<string, Value>(
        Object.entries(UNIFORMS).map(([name, value]) => [name, Math.fround(value)]),
      );
      for (const [name, offset] of Object.entries(tensors)) {
        values.set(name, arena.f32(offset, count).slice());
      }
      performLines(lines, values, STORED);
      const call = { kernel: program.kernel(), tensors, rowCount: 1, rowLength: count, uniforms: UNIFORMS };
      runCompiled(arena, call);
      for (const name of STORED) {
        const wanted = values.get(name) as Value;
        const all = typeof wanted === "number" ? new Float32Array(count).fill(wanted) : wanted;
        const difference = sameBits(arena.f32(tensors[name] as number, count), all);
        assert.equal(difference, undefined, `${name} after ${lines.join("; ")}: ${difference}`);
      }
    }),
    { numRuns: 200 },
  );
});

Deno.test("reductions add in the documented order, to the last bit of float64", () => {
  const program = new Program(["s = sum(g)", "q = squares(g)"], { tensors: ["g"], stored: [], uniforms: [] });
  const kernel = program.kernel();
  const next = random(11);
  const counts = [
    0,
    1,
    4,
    4095,
    4096,
    4097,
    4112,
    8192 + 33,
    ...Array.from({ length: 150 }, (_, n) => 10 + n % 67),
  ];
  for (const count of counts) {
    const arena = new Arena({ bytesMax: 1 << 20 });
    const g = arena.allocate(4 * count);
    // Mantissas of 24 bits over 50 powers of two: nearly every addition rounds.
    arena.f32(g, count).forEach((_, n, all) => all[n] = (next() - 0.5) * 2 ** Math.floor(next() * 50));
    const values = [...arena.f32(g, count)];
    const wanted = [sumInOrder(values), sumInOrder(values.map((x) => Math.fround(x * x)))];
    const copy = arena.kernel(kernel.module(0))(1, count, 0, g);
    assert.deepEqual(copy, wanted, `kernel, ${count} elements`);
    const args = { rowCount: 1, rowLength: count, indices: 0, pointers: [g], uniforms: [] };
    const law = interpretPass(program.graph.nodes, kernel.passes[0] as Pass, arena, args);
    assert.deepEqual(law, wanted, `interpreter, ${count} elements`);
  }
});

Deno.test("reductions keep float64 totals, so terms that cancel leave the exact remainder", () => {
  const program = new Program(["s = sum(g)"], { tensors: ["g"], stored: [], uniforms: [] });
  const arena = new Arena({ bytesMax: 1 << 20 });
  const g = arena.allocate(400);
  for (const [first, second] of [[0, 16], [3, 99], [96, 97], [1, 2]] as const) {
    arena.f32(g, 100).fill(0);
    // 2^24 + 1 is not a float32 number: a sum in float32 would lose the one.
    arena.f32(g, 100)[first] = 2 ** 24;
    arena.f32(g, 100)[50] = 1;
    arena.f32(g, 100)[second] = -(2 ** 24);
    for (const runner of [runCompiled, runInterpreted]) {
      const call = { kernel: program.kernel(), tensors: { g }, rowCount: 1, rowLength: 100, uniforms: {} };
      assert.equal(runner(arena, call)["s"], 1);
    }
  }
});

Deno.test("reductions run over all rows of a call, listed rows included", () => {
  const program = new Program(["e = mean(w)", "s = sum(w)"], { tensors: ["w"], stored: [], uniforms: [] });
  const arena = new Arena({ bytesMax: 1 << 20 });
  const w = arena.allocate(4 * 12), indices = arena.allocate(8);
  arena.f32(w, 12).forEach((_, n, all) => all[n] = n);
  arena.i32(indices, 2).set([3, 1]);
  const call = {
    kernel: program.kernel({ w: { access: "indexed" } }),
    tensors: { w },
    rowCount: 2,
    rowLength: 3,
  };
  for (const runner of [runCompiled, runInterpreted]) {
    assert.deepEqual(runner(arena, { ...call, indices, uniforms: {} }), { e: 7, s: 42 });
  }
});

Deno.test("runners touch nothing when there are no rows or no elements", () => {
  const program = new Program(["n = norm(g)", "w = g * n"], {
    tensors: ["w", "g"],
    stored: ["w"],
    uniforms: [],
  });
  const arena = new Arena({ bytesMax: 1 << 20 });
  const tensors = { w: arena.allocate(64), g: arena.allocate(64) };
  arena.f32(tensors.w, 16).fill(5);
  for (const runner of [runCompiled, runInterpreted]) {
    for (const [rowCount, rowLength] of [[0, 16], [1, 0], [0, 0]] as const) {
      const call = { kernel: program.kernel(), tensors, rowCount, rowLength, uniforms: {} };
      assert.deepEqual(runner(arena, call), { n: 0 });
    }
  }
  assert.ok(arena.f32(tensors.w, 16).every((value) => value === 5));
});

Deno.test("runners refuse a call that lacks a uniform or a tensor, and change nothing", () => {
  const program = new Program(["w = w * a"], { tensors: ["w"], stored: ["w"], uniforms: ["a", "b"] });
  const arena = new Arena({ bytesMax: 1 << 20 });
  const w = arena.allocate(64);
  const call = {
    kernel: program.kernel(),
    tensors: { w },
    rowCount: 1,
    rowLength: 16,
    uniforms: { a: 1, b: 1 },
  };
  for (const runner of [runCompiled, runInterpreted]) {
    assert.throws(() => runner(arena, { ...call, uniforms: { b: 1 } }), {
      name: "RangeError",
      message: 'Cannot run without a value for "a"',
    });
    assert.throws(() => runner(arena, { ...call, tensors: {} }), {
      name: "RangeError",
      message: 'Cannot run without the tensor "w"',
    });
    assert.deepEqual(runner(arena, { ...call, uniforms: { a: 1 } }), {}, "nothing reads b");
  }
});

Deno.test("evaluateScalars() computes in float32, line by line, and flushes subnormal numbers", () => {
  const lines = [
    "c = c * a ^ T",
    "d = 1 - c",
    "e = d / 3",
    "tiny = 1e-30 * 1e-10",
    "f = where(a < c, 1, tiny)",
  ];
  const program = new Program(lines, { tensors: [], stored: [], uniforms: ["a", "c", "T"] });
  const { fround } = Math;
  const c = fround(fround(0.9) * fround(fround(0.1) ** 7)), d = fround(1 - c);
  assert.deepEqual(evaluateScalars(program, { a: 0.1, c: 0.9, T: 7 }), {
    c,
    d,
    e: fround(d / 3),
    tiny: 0,
    f: 0,
  });
  const plain = new Program(["x = a", "y = 2"], { tensors: [], stored: [], uniforms: ["a"] });
  assert.deepEqual(evaluateScalars(plain, { a: 5 }), { x: 5, y: 2 });
  // The same program again, with other numbers.
  assert.deepEqual(evaluateScalars(program, { a: 0, c: 2, T: 1 }), {
    c: 0,
    d: 1,
    e: fround(1 / 3),
    tiny: 0,
    f: 0,
  });
});
