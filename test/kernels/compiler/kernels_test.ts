/** Tests of kernels against the interpreter: equal bit for bit, and nothing outside their regions is touched. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Arena } from "../../../kernels/arena.ts";
import { compiledCount, Program } from "../../../kernels/compiler/compile.ts";
import { REDUCTIONS } from "../../../kernels/language/formula_reductions.ts";
import { OPS } from "../../../kernels/language/ops.ts";
import type { Access, ElementType } from "../../../kernels/compiler/pass.ts";
import { type Call, runCompiled, runInterpreted } from "../../../kernels/compiler/runner.ts";
import { rules } from "../support/arbitrary.ts";
import { fillSpecial, sameBits, SPECIAL } from "../support/special.ts";

const GUARD = 0x5ca1ab1e;
const TENSORS = ["w", "g", "m", "v"];

interface Case {
  readonly lines: readonly string[];
  readonly rowCount: number;
  readonly rowLength: number;
  readonly types?: Readonly<Record<string, ElementType>>;
  readonly access?: Readonly<Record<string, Access>>;
  readonly seed?: number;
  readonly uniforms?: Readonly<Record<string, number>>;
}

const BYTES = { f32: 4, f16: 2, bf16: 2, f64: 8 };

/** Runs a case on a fresh arena and returns all its bytes, guard words between the regions included. */
function perform(
  runner: typeof runCompiled,
  test: Case,
): { bytes: Uint8Array; results: Record<string, number> } {
  const uniforms = { a: 0.1, b: -2.5, c: 3, ...test.uniforms };
  const program = new Program(test.lines, {
    tensors: TENSORS,
    stored: ["w", "m", "v"],
    uniforms: Object.keys(uniforms),
  });
  const layouts = Object.fromEntries(
    TENSORS.map((
      name,
    ) => [name, { type: test.types?.[name] ?? "f32", access: test.access?.[name] ?? "sequential" }]),
  );
  const arena = new Arena({ bytesMax: 1 << 26 });
  const rows = test.rowCount * 3;
  const tensors: Record<string, number> = {};
  const guards: number[] = [];
  TENSORS.forEach((name, index) => {
    const type = layouts[name]?.type ?? "f32";
    const bytes = rows * test.rowLength * BYTES[type];
    const offset = arena.allocate(bytes + 8);
    tensors[name] = offset;
    fillSpecial(arena, { offset, count: rows * test.rowLength, type, seed: (test.seed ?? 1) + index });
    const end = offset + Math.ceil(bytes / 4) * 4;
    arena.i32(end, 1)[0] = GUARD;
    guards.push(end);
  });
  const indices = arena.allocate(4 * test.rowCount + 4);
  // Every second row from the end: neither sorted nor contiguous.
  arena.i32(indices, test.rowCount).forEach((_, row, list) => list[row] = rows - 1 - 2 * row);
  const call: Call = {
    kernel: program.kernel(layouts),
    tensors,
    rowCount: test.rowCount,
    rowLength: test.rowLength,
    indices,
    uniforms,
  };
  const results = runner(arena, call);
  guards.forEach((end) => assert.equal(arena.i32(end, 1)[0], GUARD, "guard word after a region"));
  return { bytes: new Uint8Array(arena.buffer).slice(), results };
}

function assertEqual(test: Case): void {
  const law = perform(runInterpreted, test),
    copy = perform(runCompiled, test),
    again = perform(runCompiled, test);
  const words = (bytes: Uint8Array) => new Float32Array(bytes.buffer);
  const difference = sameBits(words(law.bytes), words(copy.bytes));
  assert.equal(difference, undefined, `${JSON.stringify(test)}: ${difference}`);
  assert.deepEqual(again.bytes, copy.bytes, "the second run gives the same bits");
  for (const [name, value] of Object.entries(law.results)) {
    assert.ok(Object.is(value, copy.results[name]), `${name}: law ${value}, kernel ${copy.results[name]}`);
  }
}

const ADAM = [
  "m = m + (g - m) * (1 - a)",
  "v = v + (g * g - v) * (1 - a)",
  "w = w - (m * c) / (sqrt(v) + a)",
];
const TRUST = ["u = m * a + g", "r = norm(w) / norm(u)", "w = w - where(r > 0, r, 1) * u", "m = u"];

Deno.test("kernels equal the interpreter at lengths 0 to 67 and past a block", () => {
  for (let rowLength = 0; rowLength <= 67; rowLength++) {
    assertEqual({ lines: ADAM, rowCount: 1, rowLength, seed: rowLength });
    assertEqual({ lines: TRUST, rowCount: 1, rowLength, seed: rowLength });
    assertEqual({ lines: ["w = w - g * a"], rowCount: 1, rowLength, seed: rowLength });
  }
  for (const rowLength of [4095, 4096, 4097, 9000]) {
    assertEqual({ lines: TRUST, rowCount: 1, rowLength });
    assertEqual({ lines: ["n = norm(g)", "s = sum(g)", "e = mean(m)"], rowCount: 1, rowLength });
    // Without NaN, which would make every result NaN.
    const lines = [
      "finite = where(abs(g) < 100, g, 0)",
      "p = peak(finite)",
      "e = mean(finite)",
      "c = count(g)",
    ];
    assertEqual({ lines, rowCount: 2, rowLength });
  }
});

Deno.test("kernels equal the interpreter on listed rows, repeated rows and one number per row", () => {
  for (const rowLength of [1, 2, 3, 4, 5, 15, 16, 17, 31, 64, 67]) {
    assertEqual({
      lines: ADAM,
      rowCount: 5,
      rowLength,
      access: { w: "indexed", m: "indexed", v: "indexed" },
    });
    assertEqual({ lines: ["w = w * g"], rowCount: 7, rowLength, access: { g: "repeat" } });
    assertEqual({ lines: ["w = w / g"], rowCount: 7, rowLength, access: { g: "splat" } });
    assertEqual({ lines: TRUST, rowCount: 5, rowLength, access: { w: "indexed", m: "indexed" } });
  }
});

Deno.test("prefetching works for any number and length of listed rows, and reads nothing after them", () => {
  for (const rowLength of [15, 16, 17, 64, 127, 128, 129]) {
    for (const rowCount of [15, 16, 17, 33]) {
      assertEqual({ lines: ADAM, rowCount, rowLength, access: { w: "indexed", m: "indexed", v: "indexed" } });
    }
  }
  assertEqual({
    lines: ["w = w - g"],
    rowCount: 20,
    rowLength: 31,
    access: { g: "indexed" },
    types: { g: "f16" },
  });
  const program = new Program(["w = w * 2"], { tensors: ["w"], stored: ["w"], uniforms: [] });
  const kernel = program.kernel({ w: { access: "indexed" } });
  for (const rowLength of [16, 48, 128]) {
    const arena = new Arena({ bytesMax: 1 << 20 });
    const indices = arena.allocate(64), rowCount = 16, bytes = 4 * rowLength * rowCount;
    const w = arena.allocate(arena.bytesReserved - indices - 64) + arena.bytesReserved - indices - 64 - bytes;
    assert.equal(w + bytes, arena.buffer.byteLength, "the last row ends where the memory does");
    arena.i32(indices, rowCount).forEach((_, row, list) => list[row] = row);
    arena.f32(w, rowLength * rowCount).fill(3);
    runCompiled(arena, { kernel, tensors: { w }, rowCount, rowLength, indices, uniforms: {} });
    assert.ok(arena.f32(w, rowLength * rowCount).every((value) => value === 6));
  }
});

Deno.test("kernels decode f16, bf16 and f64 gradients as the interpreter does", () => {
  for (const g of ["f16", "bf16", "f64"] as const) {
    for (const rowLength of [1, 4, 7, 16, 33, 5000]) {
      assertEqual({ lines: ["n = norm(g)", "w = g"], rowCount: 1, rowLength, types: { g } });
      assertEqual({ lines: ADAM, rowCount: 1, rowLength, types: { g } });
    }
  }
});

Deno.test("a comparison of scalars selects whole tensors in kernel and interpreter", () => {
  for (
    const lines of [["w = where(a > 0, g, m)"], ["w = where(norm(g) < b, g, m)"], ["w = where(1 == 1, g, w)"]]
  ) {
    for (const rowLength of [1, 4, 37]) assertEqual({ lines, rowCount: 2, rowLength });
  }
});

Deno.test("every f16 bit pattern decodes to the float32 of the same value", () => {
  const program = new Program(["w = g"], { tensors: ["w", "g"], stored: ["w"], uniforms: [] });
  const arena = new Arena({ bytesMax: 1 << 20 });
  const w = arena.allocate(4 * 65536), g = arena.allocate(2 * 65536);
  new Uint16Array(arena.buffer, g, 65536).forEach((_, bits, all) => all[bits] = bits);
  const kernel = program.kernel({ g: { type: "f16" } });
  runCompiled(arena, { kernel, tensors: { w, g }, rowCount: 1, rowLength: 65536, uniforms: {} });
  const expected = Float32Array.from(new Float16Array(arena.buffer, g, 65536));
  assert.equal(sameBits(expected, arena.f32(w, 65536)), undefined);
});

Deno.test("every op and reduction equals the interpreter on all pairs of special values", () => {
  const side = SPECIAL.length;
  const run = (runner: typeof runCompiled, line: string) => {
    const program = new Program([line], { tensors: ["w", "g", "m"], stored: ["w"], uniforms: [] });
    const arena = new Arena({ bytesMax: 1 << 20 });
    const count = side * side;
    const tensors = {
      w: arena.allocate(4 * count),
      g: arena.allocate(4 * count),
      m: arena.allocate(4 * count),
    };
    arena.f32(tensors.g, count).forEach((_, n, g) => g[n] = SPECIAL[n % side] as number);
    arena.f32(tensors.m, count).forEach((_, n, m) => m[n] = SPECIAL[Math.floor(n / side)] as number);
    const scalars = runner(arena, {
      kernel: program.kernel(),
      tensors,
      rowCount: 1,
      rowLength: count,
      uniforms: {},
    });
    return { values: arena.f32(tensors.w, count).slice(), scalars };
  };
  const lines = [...OPS].map(([op, row]) => {
    const { symbol } = row;
    if (row.mask) return `w = where(g ${symbol} m, g, m)`;
    if (op === "where") return "w = where(g < m, m, g)";
    if (row.arity === 3) return `w = ${op}(g, m, 1.5)`;
    if (symbol) return row.arity === 2 ? `w = g ${symbol} m` : `w = ${symbol}g`;
    return `w = ${op}(${["g", "m"].slice(0, row.arity)})`;
  });
  for (
    const line of [
      ...lines,
      ...[...REDUCTIONS.keys()].map((name) => `w = g * ${name}(where(g == g, 1, 0))`),
    ]
  ) {
    const law = run(runInterpreted, line), copy = run(runCompiled, line);
    assert.equal(sameBits(law.values, copy.values), undefined, line);
  }
});

Deno.test("random formulas give the same bits in kernel and interpreter", () => {
  fc.assert(
    fc.property(
      rules,
      fc.nat(40),
      fc.integer({ min: 1, max: 3 }),
      fc.boolean(),
      fc.nat(),
      (lines, rowLength, rowCount, listed, seed) => {
        const access = listed ? { w: "indexed", m: "indexed", v: "indexed" } as const : {};
        assertEqual({ lines, rowLength, rowCount, access, seed, uniforms: { T: 7 } });
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("a second run and other uniforms compile nothing", () => {
  const test: Case = { lines: ADAM, rowCount: 1, rowLength: 33 };
  perform(runCompiled, test);
  const before = compiledCount();
  perform(runCompiled, test);
  perform(runCompiled, { ...test, uniforms: { a: 0.7, c: 9 } });
  assert.equal(compiledCount(), before);
});
