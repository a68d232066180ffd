/**
 * Norms and means over some axes of a tensor, and the way back: which stretches of the tensor belong to which
 * of the reduced numbers. For constraints and for gradient centralization.
 *
 * Sums are float64, added in the order of the tensor's elements, rounded to float32 once.
 */
import type { Arena } from "./arena.ts";
import { assemble, type Code, f32, F64, f64, I32, i32, local, whileLoop } from "./wasm.ts";

/**
 * A stretch of the tensor that is `repeats` rows of `width` kept elements, all reduced into the numbers from
 * `target` on. With width 1 the stretch reduces to one number.
 */
interface Stretch {
  readonly start: number;
  readonly repeats: number;
  readonly width: number;
  readonly target: number;
}

/** Element offsets of the tensor `shape` cut along `axes` (distinct, 0..rank-1). `count`: reduced numbers. */
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
  const inner = runs.at(-1)?.reduced === false ? runs.pop()?.size ?? 1 : 1;
  const repeats = runs.at(-1)?.reduced === true ? runs.pop()?.size ?? 1 : 1;
  let found: Stretch[] = [{ start: 0, repeats, width: inner, target: 0 }];
  let elements = repeats * inner, targets = inner;
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

/** kernel(tensor, sums, repeats, width): float64 sums[c] += x[r][c] (squared or not). */
function emit(squared: boolean): Uint8Array<ArrayBuffer> {
  const [tensor, sums, repeats, width, column, target, value] = [0, 1, 2, 3, 4, 5, 6];
  const { get, set } = local;
  const wide = f64.promote(f32.load(0, get(tensor)));
  const term: Code = squared ? f64.mul(get(value), get(value)) : get(value);
  const bump = (index: number, by: number) => set(index, i32.add(get(index), i32.const(by)));
  const row = [
    ...set(column, get(width)),
    ...set(target, get(sums)),
    ...whileLoop(get(column), [
      ...set(value, wide),
      ...f64.store(0, get(target), f64.add(f64.load(0, get(target)), term)),
      ...bump(tensor, 4),
      ...bump(target, 8),
      ...bump(column, -1),
    ]),
  ];
  return assemble({
    parameters: [I32, I32, I32, I32],
    results: [],
    locals: [I32, I32, F64],
    body: whileLoop(get(repeats), [...row, ...bump(repeats, -1)]),
    imports: [],
  });
}

const modules = new Map<boolean, WebAssembly.Module>();

/**
 * Writes the norms or means over `axes` of the float32 tensor at byte offset `tensor` as float32 to `result`,
 * kept axes in order. `scratch` holds 8 bytes a reduced number.
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
  for (const { start, repeats, width, target } of parts) {
    kernel(at.tensor + 4 * start, at.scratch + 8 * target, repeats, width);
  }
  const elements = at.axes.reduce((product, axis) => product * (at.shape[axis] ?? 1), 1);
  const result = arena.f32(at.result, count);
  sums.forEach((sum, n) => result[n] = squared ? Math.sqrt(Math.fround(sum)) : sum / elements);
}
