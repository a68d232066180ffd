/**
 * Norms and means over some axes of a tensor, and the mapping back: which stretches of the tensor belong to which
 * reduced numbers. Used by constraints and by gradient centralization.
 *
 * Sums are float64, added in the order of the tensor's elements, and rounded to float32 once.
 */
import type { Arena } from "../arena.ts";
import {
  assemble,
  type Code,
  f32,
  f32x4,
  F64,
  f64,
  f64x2,
  I32,
  i32,
  ifThen,
  local,
  V128,
  v128,
  whileLoop,
} from "../wasm/wasm.ts";

/**
 * A contiguous part of the tensor: `times` blocks, each of `repeats` rows of `width` elements. The rows of a block
 * are reduced to `width` numbers. The numbers of the blocks follow one another from `target` on.
 */
interface Stretch {
  readonly start: number;
  readonly times: number;
  readonly repeats: number;
  readonly width: number;
  readonly target: number;
}

/**
 * The stretches of a tensor of `shape` reduced over `axes` (distinct, 0..rank-1), and the count of reduced numbers.
 */
export function stretches(
  shape: readonly number[],
  axes: readonly number[],
): { stretches: Stretch[]; count: number } {
  const runs: { size: number; reduced: boolean }[] = [];
  shape.forEach((size, axis) => {
    const reduced = axes.includes(axis);
    const last = runs.at(-1);
    if (last && last.reduced === reduced) last.size *= size;
    else runs.push({ size, reduced });
  });
  const take = (reduced: boolean) => runs.at(-1)?.reduced === reduced ? runs.pop()?.size ?? 1 : 1;
  const width = take(false), repeats = take(true), times = take(false);
  let found: Stretch[] = [{ start: 0, times, repeats, width, target: 0 }];
  let elements = times * repeats * width, targets = times * width;
  for (const { size, reduced } of runs.reverse()) {
    found = Array.from({ length: size }, (_, n) =>
      found.map((stretch) => ({
        ...stretch,
        start: stretch.start + n * elements,
        target: stretch.target + (reduced ? 0 : n * targets),
      }))).flat();
    elements *= size;
    if (!reduced) targets *= size;
  }
  return { stretches: found, count: targets };
}

/** kernel(tensor, sums, times, repeats, width): float64 sums[n][c] += x[n][r][c] (squared or not). */
function emit(squared: boolean): Uint8Array<ArrayBuffer> {
  const tensor = 0, sums = 1, times = 2, repeats = 3, width = 4;
  const row = 5, column = 6, target = 7, sum = 8, value = 9, four = 10, pair = 11;
  const { get, set } = local;
  const bump = (index: number, by: number) => set(index, i32.add(get(index), i32.const(by)));
  const load = f32.load(0, get(tensor)), loadFour = v128.load(0, get(tensor));
  const next = [...set(value, f64.promote(squared ? f32.mul(load, load) : load)), ...bump(tensor, 4)];

  const toOneNumber = [
    ...set(sum, f64.load(0, get(sums))),
    ...whileLoop(get(row), [...next, ...set(sum, f64.add(get(sum), get(value))), ...bump(row, -1)]),
    ...f64.store(0, get(sums), get(sum)),
  ];
  const addPair = (at: number, floats: Code) => [
    ...set(pair, f64x2.promoteLowF32x4(floats)),
    ...v128.store(at, get(target), f64x2.add(v128.load(at, get(target)), get(pair))),
  ];
  const fourColumns = [
    ...set(four, squared ? f32x4.mul(loadFour, loadFour) : loadFour),
    ...addPair(0, get(four)),
    ...addPair(16, v128.shuffle32(get(four), get(four), [2, 3, 2, 3])),
    ...bump(tensor, 16),
    ...bump(target, 32),
    ...bump(column, -4),
  ];
  const oneColumn = [
    ...next,
    ...f64.store(0, get(target), f64.add(f64.load(0, get(target)), get(value))),
    ...bump(target, 8),
    ...bump(column, -1),
  ];
  const toColumns = whileLoop(get(row), [
    ...set(column, get(width)),
    ...set(target, get(sums)),
    ...whileLoop(i32.geu(get(column), i32.const(4)), fourColumns),
    ...whileLoop(get(column), oneColumn),
    ...bump(row, -1),
  ]);
  return assemble({
    parameters: [I32, I32, I32, I32, I32],
    results: [],
    locals: [I32, I32, I32, F64, F64, V128, V128],
    body: whileLoop(get(times), [
      ...set(row, get(repeats)),
      ...ifThen(i32.eq(get(width), i32.const(1)), toOneNumber, toColumns),
      ...set(sums, i32.add(get(sums), i32.shl(get(width), i32.const(3)))),
      ...bump(times, -1),
    ]),
    imports: [],
  });
}

const modules = new Map<boolean, WebAssembly.Module>();

/**
 * Writes the norms or means over `axes` of the float32 tensor at byte offset `tensor` as float32 to `result`, in the
 * order of the kept axes. `scratch` holds 8 bytes per reduced number.
 */
export function reduceAxes(
  arena: Arena,
  kind: "norm" | "mean",
  at: { tensor: number; result: number; scratch: number; shape: readonly number[]; axes: readonly number[] },
): void {
  const squared = kind === "norm";
  let module = modules.get(squared);
  if (!module) modules.set(squared, module = new WebAssembly.Module(emit(squared)));
  const kernel = arena.kernel(module);
  const { stretches: parts, count } = stretches(at.shape, at.axes);
  const sums = arena.f64(at.scratch, count).fill(0);
  for (const { start, times, repeats, width, target } of parts) {
    kernel(at.tensor + 4 * start, at.scratch + 8 * target, times, repeats, width);
  }
  const elements = at.axes.reduce((product, axis) => product * (at.shape[axis] ?? 1), 1);
  const result = arena.f32(at.result, count);
  sums.forEach((sum, n) => result[n] = squared ? Math.sqrt(Math.fround(sum)) : sum / elements);
}
