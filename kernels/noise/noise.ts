/**
 * Gaussian noise as a function of seed, stream, iteration, variable and element. It has the same bits on every
 * machine and after a restart, and does not depend on earlier draws.
 *
 *     words = Philox4x32-10(counter: block, variable, iteration; key: seed, stream)     philox.ts
 *     z     = four normal numbers of a block's four words, rounded to float32           normal.ts
 *     g     = g + stddev · z, in float32
 *
 * Sixteen elements use four blocks: element 16n + 4p + b gets number p of block 4n + b.
 *
 * The noise is not cryptographically secure: anyone who knows the seed can subtract it, and the rounding of
 * floating-point sums lets values be distinguished (Mironov 2012, "On significance of the least significant bits for
 * differential privacy").
 */
import { Arena } from "../arena.ts";
import { Lines } from "../wasm/lines.ts";
import { normalPairs } from "./normal.ts";
import { philox } from "./philox.ts";
import {
  assemble,
  type Code,
  F32,
  f32x4,
  I32,
  i32,
  i32x4,
  local,
  v128,
  type ValueType,
  whileLoop,
} from "../wasm/wasm.ts";

/** The parameters of one tensor's noise. */
export interface Noise {
  /** An integer in 0..2^53 − 1. */
  readonly seed: number;
  /** Separates different uses of one seed: an integer in 0..2047. */
  readonly stream: number;
  /** An integer in 0..2^53 − 1. */
  readonly iteration: number;
  /** The index of the variable, an integer in 0..2^32 − 1. */
  readonly variable: number;
  /** Standard deviation, ≥ 0; rounded to float32. */
  readonly stddev: number;
}

/** Elements that the kernel processes at a time: 64 bytes, as many as no region takes at the beginning of an arena. */
const GROUP = 16;

/** kernel(target, groups, block, c1, c2, c3, k0, k1, stddev) */
function emit(): Uint8Array<ArrayBuffer> {
  const target = 0, groups = 1, block = 2, stddev = 8;
  const { get, set } = local;
  const parameters: ValueType[] = [...Array<ValueType>(8).fill(I32), F32], locals: ValueType[] = [];
  const once = new Lines(locals, parameters.length), each = new Lines(locals, parameters.length);
  const splat = (parameter: number) => once.keep(i32x4.splat(get(parameter)));
  const deviation = once.keep(f32x4.splat(get(stddev)));
  const blocks = each.keep(i32x4.add(i32x4.splat(get(block)), v128.const([0, 1, 2, 3])));
  const words = philox(once, each, [blocks, splat(3), splat(4), splat(5)], [splat(6), splat(7)]);

  const upper = (vector: Code) => each.keep(v128.shuffle32(vector, vector, [2, 3, 2, 3]));
  const add = (place: number, low: Code, high: Code): void => {
    const [a, b] = [low, high].map((half) => each.keep(f32x4.demoteF64x2Zero(half))) as [Code, Code];
    const scaled = f32x4.mul(v128.shuffle32(a, b, [0, 1, 4, 5]), deviation);
    const sum = f32x4.add(v128.load(16 * place, get(target)), scaled);
    each.code.push(...v128.store(16 * place, get(target), sum));
  };
  for (const place of [0, 2] as const) {
    const u = words[place], v = words[place + 1] as Code;
    const low = normalPairs(once, each, u, v), high = normalPairs(once, each, upper(u), upper(v));
    add(place, low[0], high[0]);
    add(place + 1, low[1], high[1]);
  }
  const bump = (index: number, by: number) => set(index, i32.add(get(index), i32.const(by)));
  const loop = [...each.code, ...bump(target, 4 * GROUP), ...bump(block, 4), ...bump(groups, -1)];
  const body = [...once.code, ...whileLoop(get(groups), loop)];
  return assemble({ parameters, results: [], locals, body, imports: [] });
}

let module: WebAssembly.Module | undefined;
let single: Arena | undefined;

/** One number of the noise: that of element 0. */
export function gaussian(noise: Noise): number {
  single ??= new Arena({ bytesMax: 2 ** 16 });
  const offset = single.allocate(4 * GROUP);
  single.f32(offset, 1).fill(0);
  addGaussianNoise(single, { offset, count: 1 }, noise);
  const [drawn = 0] = single.f32(offset, 1);
  single.release(offset);
  return drawn;
}

const WORD = 2 ** 32;

/** Adds noise to the `count` float32 numbers at `offset`. */
export function addGaussianNoise(
  arena: Arena,
  { offset, count }: { readonly offset: number; readonly count: number },
  { seed, stream, iteration, variable, stddev }: Noise,
): void {
  module ??= new WebAssembly.Module(emit());
  const high = (integer: number) => Math.floor(integer / WORD);
  // The upper half of a seed has 21 bits, which leaves 11 for the stream.
  const key = [seed % WORD, high(seed) + stream * 2 ** 21];
  const counter = [variable, iteration % WORD, high(iteration)];
  const kernel = arena.kernel(module), groups = Math.floor(count / GROUP), whole = groups * GROUP;
  kernel(offset, groups, 0, ...counter, ...key, stddev);
  if (whole === count) return;
  // What lies behind the last number is not ours, so the last group is made at the arena's beginning.
  const free = arena.f32(0, GROUP), rest = arena.f32(offset + 4 * whole, count - whole);
  const kept = arena.u8(0, 4 * GROUP).slice();
  free.set(rest);
  kernel(0, 1, 4 * groups, ...counter, ...key, stddev);
  rest.set(free.subarray(0, rest.length));
  arena.u8(0, 4 * GROUP).set(kept);
}
