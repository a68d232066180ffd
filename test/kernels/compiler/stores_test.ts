/** Tests of the mark that kernels leave when they store a number that is not finite. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Arena } from "../../../kernels/arena.ts";
import { Program } from "../../../kernels/compiler/compile.ts";
import { runCompiled, runInterpreted } from "../../../kernels/compiler/runner.ts";
import { watchedStores } from "../../../kernels/compiler/stores.ts";
import { rules } from "../support/arbitrary.ts";

const TENSORS = ["w", "g", "m", "v"];
const STORED = ["w", "m", "v"];
const UNIFORMS = { a: 0.1, b: -2.5, c: 3, T: 7 };
const RUNNERS = { compiled: runCompiled, interpreted: runInterpreted };

interface Work {
  readonly lines: readonly string[];
  readonly rowCount?: number;
  readonly rowLength: number;
  /** Sets values before the call, and may set those after the end of the tensors. */
  readonly prepare?: (tensors: Readonly<Record<string, Float32Array>>) => void;
}

/** Runs lines on ones; returns whether there is a mark, and whether all stored numbers are finite. */
function run(runner: typeof runCompiled, { lines, rowCount = 1, rowLength, prepare }: Work) {
  const arena = new Arena({ bytesMax: 1 << 20 });
  const count = rowCount * rowLength;
  const tensors = Object.fromEntries(TENSORS.map((name) => [name, arena.allocate(4 * count + 64)]));
  const views = Object.fromEntries(
    TENSORS.map((name) => [name, arena.f32(tensors[name] as number, count + 16)]),
  );
  for (const view of Object.values(views)) view.fill(1);
  prepare?.(views);
  const program = new Program(lines, { tensors: TENSORS, stored: STORED, uniforms: Object.keys(UNIFORMS) });
  runner(arena, { kernel: program.kernel(), tensors, rowCount, rowLength, uniforms: UNIFORMS });
  const isFinite = STORED.every((name) => views[name]?.subarray(0, count).every(Number.isFinite));
  return { isMarked: arena.takeFlag(), isFinite };
}

Deno.test("a mark tells of one bad number, wherever it is and whichever tensor gets it", () => {
  // v is hidden from w: the quotient by an infinity is 0.
  const lines = ["m = m + g", "v = v + g * g", "w = w - m / v"];
  for (const runner of Object.values(RUNNERS)) {
    for (const rowCount of [1, 3]) {
      for (let rowLength = 1; rowLength <= 37; rowLength++) {
        for (const place of [0, rowLength - 1, rowCount * rowLength - 1]) {
          for (
            const [name, value] of [["g", NaN], ["w", Infinity], ["m", -Infinity], ["v", Infinity]] as const
          ) {
            const prepare = (views: Readonly<Record<string, Float32Array>>) => {
              (views[name] as Float32Array)[place] = value;
            };
            const { isMarked, isFinite } = run(runner, { lines, rowCount, rowLength, prepare });
            assert.deepEqual(
              [isMarked, isFinite],
              [true, false],
              `${name}[${place}] of ${rowCount}x${rowLength}`,
            );
          }
        }
      }
    }
  }
});

Deno.test("there is no mark while what is stored is finite: the greatest numbers, and NaN that is not stored", () => {
  for (const runner of Object.values(RUNNERS)) {
    for (let rowLength = 0; rowLength <= 67; rowLength++) {
      const greatest = Math.fround(3.4028234663852886e38);
      const prepare = (views: Readonly<Record<string, Float32Array>>) => {
        for (const view of Object.values(views)) view.fill(greatest).subarray(rowLength).fill(NaN);
      };
      const kept = run(runner, { lines: ["m = -g"], rowLength, prepare });
      assert.deepEqual(kept, { isMarked: false, isFinite: true });
      // In the lanes that a single element does not use, zeros are divided by zeros.
      assert.deepEqual(run(runner, { lines: ["w = g / m"], rowLength }), { isMarked: false, isFinite: true });
      const passing = ["bad = (g - g) / (m - m)", "w = where(bad == bad, bad, w)"];
      assert.deepEqual(run(runner, { lines: passing, rowLength }), { isMarked: false, isFinite: true });
    }
  }
});

Deno.test("for random formulas the mark says whether all that is stored is finite", () => {
  let bad = 0, good = 0;
  const value = fc.oneof(
    { weight: 40, arbitrary: fc.float({ noNaN: true, min: -8, max: 8 }) },
    fc.constantFrom(NaN, Infinity, -Infinity, 0, 3e38, -3e38, 1e-40),
  );
  fc.assert(
    fc.property(rules, fc.integer({ min: 1, max: 40 }), fc.array(value, { minLength: 7, maxLength: 7 }), (
      lines,
      rowLength,
      values,
    ) => {
      const prepare = (views: Readonly<Record<string, Float32Array>>) => {
        Object.values(views).forEach((view, n) => {
          view.forEach((_, i) => view[i] = values[(3 * i + n) % values.length] as number);
        });
      };
      for (const runner of Object.values(RUNNERS)) {
        const { isMarked, isFinite } = run(runner, { lines, rowLength, prepare });
        assert.equal(isMarked, !isFinite, lines.join("; "));
        isFinite ? good += 1 : bad += 1;
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(bad > 50 && good > 50, `${bad} with numbers that are not finite, ${good} without`);
});

Deno.test("the mark stays until it is taken, and growing the memory keeps it", () => {
  const arena = new Arena({ bytesMax: 1 << 24 });
  const program = new Program(["w = w / 0"], { tensors: ["w"], stored: ["w"], uniforms: [] });
  const w = arena.allocate(64);
  arena.f32(w, 1).fill(1);
  runCompiled(arena, { kernel: program.kernel(), tensors: { w }, rowCount: 1, rowLength: 1, uniforms: {} });
  arena.allocate(1 << 20);
  assert.equal(arena.takeFlag(), true);
  assert.equal(arena.takeFlag(), false);
  assert.equal(arena.i32(0, 8).every((word) => word === 0), true, "the list of row 0 is untouched");
});

Deno.test("kernels that differ only in how their scalars are computed watch the same stores", () => {
  const prepare = (views: Readonly<Record<string, Float32Array>>) =>
    void (views["g"] as Float32Array).fill(NaN);
  for (const runner of Object.values(RUNNERS)) {
    // In the first, v gives m away; the second is the same module, and there v is finite.
    for (const v of ["m * 2", "where(m < 0, 1, 2)"]) {
      const lines = ["m = norm(g)", `v = ${v}`, "w = T"];
      assert.deepEqual(run(runner, { lines, rowLength: 3, prepare }), { isMarked: true, isFinite: false });
    }
  }
});

Deno.test("a store that another one gives away costs nothing", () => {
  const watched = (lines: readonly string[], stored: readonly string[]) => {
    const program = new Program(lines, { tensors: [...stored, "g"], stored, uniforms: ["alpha"] });
    const [pass] = program.kernel().passes;
    assert.ok(pass);
    return [...watchedStores(program.graph.nodes, pass)].map(({ tensor }) => pass.tensors[tensor]?.name)
      .sort();
  };
  assert.deepEqual(watched(["m = m + g", "w = w - m * alpha"], ["w", "m"]), ["w"]);
  assert.deepEqual(watched(["m = m + g", "w = w - alpha / m"], ["w", "m"]), ["m", "w"], "x / infinity is 0");
  assert.deepEqual(
    watched(["m = m + g", "w = max(w, m)"], ["w", "m"]),
    ["m", "w"],
    "a NaN may be passed over",
  );
  assert.deepEqual(watched(["m = g", "w = g"], ["w", "m"]).length, 1, "of two equal stores, one");
});
