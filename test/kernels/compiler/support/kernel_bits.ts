/**
 * A program that prints a hash of everything that a selection of kernels writes and returns. compilers_test.ts runs
 * it under each of V8's WebAssembly compilers. Not a test itself.
 */
import { Arena } from "../../../../kernels/arena.ts";
import { reduceAxes } from "../../../../kernels/routines/axes.ts";
import { Program } from "../../../../kernels/compiler/compile.ts";
import { findUnique, tableBytes } from "../../../../kernels/routines/dedupe.ts";
import { squaredDistances } from "../../../../kernels/routines/distances.ts";
import { meanOfRanks, scratchBytes } from "../../../../kernels/routines/order.ts";
import type { ElementType } from "../../../../kernels/compiler/pass.ts";
import { runCompiled } from "../../../../kernels/compiler/runner.ts";
import { fillSpecial } from "../../support/special.ts";

const RULES: readonly (readonly string[])[] = [
  ["w = w - g * a"],
  [
    "m = m + (g - m) * (1 - a)",
    "v = v + (g * g - v) * (1 - a)",
    "w = w - (m * c) / (sqrt(v) + a)",
    "n = norm(g)",
  ],
  [
    "u = m * a + g",
    "r = norm(w) / norm(u)",
    "w = w - where(r > 0, r, 1) * u",
    "m = u",
    "s = sum(v)",
    "e = mean(g)",
  ],
  ["v = max(v, abs(g))", "m = sign(g) * clamp(g, -1, 1)", "w = where(g != m, floor(g), ceil(min(w, m)))"],
  ["w = exp(-(g * g))", "m = log(abs(g) + 1) ^ 0.3", "v = cos(g) / m"],
];
const TYPES: readonly ElementType[] = ["f32", "f16", "bf16", "f64"];
const ROWS = 3, ROW_LENGTH = 4 * 1024 + 23;

/** FNV-1a over float32 words; all NaNs count as equal. */
function hash(words: Float32Array, state: number): number {
  const bits = new Uint32Array(words.buffer, words.byteOffset, words.length);
  words.forEach((word, n) =>
    state = Math.imul(state ^ (Number.isNaN(word) ? 0x7fc00000 : bits[n] as number), 0x01000193)
  );
  return state >>> 0;
}

const arena = new Arena({ bytesMax: 1 << 24 });
const count = ROWS * ROW_LENGTH;
const tensors = Object.fromEntries(["w", "g", "m", "v"].map((name) => [name, arena.allocate(8 * count)]));
const indices = arena.allocate(64), scratch = arena.allocate(tableBytes(count) + 12 * count);
let state = 0x811c9dc5;
for (const lines of RULES) {
  const program = new Program(lines, {
    tensors: Object.keys(tensors),
    stored: ["w", "m", "v"],
    uniforms: ["a", "c"],
  });
  for (const type of TYPES) {
    Object.values(tensors).forEach((offset, seed) =>
      fillSpecial(arena, { offset, count, type: "f32", seed })
    );
    fillSpecial(arena, { offset: tensors["g"] as number, count, type, seed: 9 });
    arena.i32(indices, ROWS).set([2, 0, 1]);
    const kernel = program.kernel({ g: { type }, w: { access: "indexed" } });
    const call = {
      kernel,
      tensors,
      rowCount: ROWS,
      rowLength: ROW_LENGTH,
      indices,
      uniforms: { a: 0.1, c: 3 },
    };
    state = hash(Float32Array.from(Object.values(runCompiled(arena, call))), state);
    for (const name of ["w", "m", "v"]) state = hash(arena.f32(tensors[name] as number, count), state);
  }
}
for (const axes of [[0], [1]]) {
  const at = { tensor: tensors["v"] as number, shape: [ROWS, ROW_LENGTH], axes };
  reduceAxes(arena, "norm", { ...at, scratch, result: tensors["w"] as number });
  state = hash(arena.f32(tensors["w"] as number, axes[0] === 0 ? ROW_LENGTH : ROWS), state);
}
for (const inputCount of [9, 40, 140]) {
  // Overlapping parts of one tensor serve as the different tensors.
  const inputs = Array.from({ length: inputCount }, (_, n) => (tensors["m"] as number) + 16 * n);
  const ranks = { from: inputCount >> 2, to: inputCount - (inputCount >> 2) };
  const at = { inputs, result: tensors["w"] as number, count: ROW_LENGTH, ...ranks };
  meanOfRanks(arena, { ...at, scratch: arena.allocate(scratchBytes(inputCount)) });
  state = hash(arena.f32(at.result, ROW_LENGTH), state);
}
// Without special numbers, which would always make the sum NaN.
const offsets = [7919, 104_729].map((step) => {
  const offset = arena.allocate(4 * count);
  arena.f32(offset, count).forEach((_, n, all) => all[n] = n * step % 1009 / 7);
  return offset;
});
const [distance = 0] = squaredDistances(arena, [{ count, offsets }], [[0, 1]]);
state = hash(new Float32Array(Float64Array.of(distance).buffer), state);
const list = tensors["g"] as number,
  [ordinals, unique] = [scratch + tableBytes(count), tensors["w"] as number];
arena.i32(list, count).forEach((_, n, all) => all[n] = Math.imul(n, n) & 0x3fff);
const distinct = findUnique(arena, { indices: list, count, table: scratch, ordinals, unique });
state = hash(
  Float32Array.from(arena.i32(ordinals, count)),
  hash(Float32Array.from(arena.i32(unique, distinct)), state),
);
console.log(state.toString(16));
