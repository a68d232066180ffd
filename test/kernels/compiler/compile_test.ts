/** Tests of the cache of modules: equal machine code is compiled once, and different code is never confused. */
import assert from "node:assert/strict";
import { Arena } from "../../../kernels/arena.ts";
import { compiledCount, Program } from "../../../kernels/compiler/compile.ts";
import { runCompiled, runInterpreted } from "../../../kernels/compiler/runner.ts";
import { fillSpecial, sameBits } from "../support/special.ts";

const SCOPE = { tensors: ["w", "g", "m"], stored: ["w", "m"], uniforms: ["a", "b"] };

/** Runs `program` with `runner` on the same numbers every time; returns all tensors afterwards and all results. */
function outcome(runner: typeof runCompiled, program: Program, layouts = {}): Float32Array {
  const arena = new Arena({ bytesMax: 1 << 20 });
  const tensors = Object.fromEntries(SCOPE.tensors.map((name) => [name, arena.allocate(4 * 37)]));
  Object.values(tensors).forEach((offset, seed) =>
    fillSpecial(arena, { offset, count: 37, type: "f32", seed })
  );
  const kernel = program.kernel(layouts);
  const results = runner(arena, { kernel, tensors, rowCount: 1, rowLength: 37, uniforms: { a: 0.3, b: -2 } });
  return Float32Array.from([
    ...Object.values(tensors).flatMap((offset) => [...arena.f32(offset, 37)]),
    ...Object.values(results),
  ]);
}

/** Groups of formulas that look alike but compute different things. */
const LOOKALIKES: readonly (readonly (readonly string[])[])[] = [
  [["w = g * m", "m = g"], ["w = g", "m = g * m"], ["w = g * m"], ["m = g * m"]],
  [["s = sum(g * m)"], ["s = sum(g)", "w = g * m"], ["s = sum(m)", "w = g * m"], [
    "s = norm(m)",
    "w = g * m",
  ]],
  [["w = w * g + m"], ["m = w * g + m"], ["m = w * g + m", "w = m"]],
  [["w = g * a - b"], ["w = g * b - a"], ["w = g - a * b"], ["w = (g - a) * b"]],
  [["w = g * 2"], ["w = g * 3"], ["w = g * a"], ["w = 2 * g"], ["w = g / 2"]],
  [["w = min(g, m)"], ["w = min(m, g)"], ["w = max(g, m)"]],
  [["w = where(g < m, g, m)"], ["w = where(g < m, m, g)"], ["w = where(m < g, g, m)"], [
    "w = where(a < b, g, m)",
  ]],
  [["w = m", "m = w"], ["u = w", "w = m", "m = u"]],
];

Deno.test("kernels of similar formulas are not confused", () => {
  for (const group of LOOKALIKES) {
    const programs = group.map((lines) => new Program(lines, SCOPE));
    // Twice: the second time every module comes from the cache.
    for (const program of [...programs, ...group.map((lines) => new Program(lines, SCOPE))]) {
      const difference = sameBits(outcome(runCompiled, program), outcome(runInterpreted, program));
      assert.equal(difference, undefined, `${group[programs.indexOf(program)]}: ${difference}`);
    }
  }
});

Deno.test("kernels of one formula in different layouts are not confused", () => {
  const program = new Program(["w = w * a + g"], SCOPE);
  for (
    const layout of [{}, { type: "f16" }, { type: "bf16" }, { access: "splat" }, {
      access: "repeat",
    }] as const
  ) {
    const layouts = { g: layout };
    const difference = sameBits(
      outcome(runCompiled, program, layouts),
      outcome(runInterpreted, program, layouts),
    );
    assert.equal(difference, undefined, `${JSON.stringify(layout)}: ${difference}`);
  }
  assert.equal(program.kernel({ g: {} }), program.kernel(), "the same layout is the same kernel");
});

Deno.test("a formula with other names compiles nothing", () => {
  const compile = (lines: readonly string[], scope: typeof SCOPE) => {
    const kernel = new Program(lines, scope).kernel();
    kernel.passes.forEach((_, pass) => kernel.module(pass));
  };
  compile(["m = m + (g - m) * (1 - a)", "w = w - b * m / norm(m + 8)"], SCOPE);
  const before = compiledCount();
  compile(["v = v + (d - v) * (1 - beta)", "u = v", "x = x - rate * u / norm(u + 8)"], {
    tensors: ["other", "x", "d", "v"],
    stored: ["x", "v", "other"],
    uniforms: ["unused", "beta", "epsilon", "rate"],
  });
  assert.equal(compiledCount(), before);
  compile(["m = m + (g - m) * (2 - a)", "w = w - b * m / norm(m + 9)"], SCOPE);
  assert.notEqual(compiledCount(), before, "another literal is another module");
});
