/**
 * What the kernels of order.ts and order_tiles.ts share: the request, and the code they are made of, for four
 * elements a vector. What is computed is said in order.ts.
 *
 * Invariant: values on wires are neither NaN nor -0, so that equal values have equal bits.
 */
import { OPS } from "./ops.ts";
import type { Comparator } from "./sorting.ts";
import { type Code, f32x4, f64x2, local, v128 } from "./wasm.ts";

export interface RankMean {
  /** Byte offsets of the tensors: float32, 16-byte aligned. */
  readonly inputs: readonly number[];
  /** Byte offset of the result, 16-byte aligned; it overlaps no input. */
  readonly result: number;
  /** Elements. Inputs are read, and the result is written, up to the next multiple of four. */
  readonly count: number;
  /** Byte offset of as much scratch as `scratchBytes` says, 16-byte aligned. */
  readonly scratch: number;
  /** 0 ≤ from < to ≤ number of inputs. */
  readonly from: number;
  readonly to: number;
}

/** The vector as it counts: +Infinity for NaN, +0 for -0. `infinity` is a vector of +Infinity. */
export function ordered(value: Code, infinity: Code): Code {
  return f32x4.add(f32x4.pmin(infinity, value), v128.zero);
}

/**
 * A network whose wires are the locals from `wires` on; `spare` is one more local. What no wire from `from` to
 * `to - 1` depends on is left out.
 */
export function sorted(
  network: readonly Comparator[],
  at: { wires: number; spare: number; from: number; to: number },
): Code {
  const wanted = new Set(Array.from({ length: at.to - at.from }, (_, n) => at.from + n));
  const code: Code[] = [];
  for (const { low, high } of network.toReversed()) {
    const kept = { low: wanted.has(low), high: wanted.has(high) };
    if (!kept.low && !kept.high) continue;
    wanted.add(low).add(high);
    code.push(comparator(at.wires + low, at.wires + high, { kept, spare: at.spare }));
  }
  return code.reverse().flat();
}

function comparator(
  low: number,
  high: number,
  { kept, spare }: { kept: { low: boolean; high: boolean }; spare: number },
): Code {
  const { get, set } = local;
  const least = f32x4.pmin(get(low), get(high)), greatest = f32x4.pmax(get(low), get(high));
  if (!kept.high) return set(low, least);
  if (!kept.low) return set(high, greatest);
  return [...set(spare, least), ...set(high, greatest), ...set(low, get(spare))];
}

/** Two locals that hold the float64 sums of a vector's lower and upper two lanes. */
export interface Sums {
  readonly lower: number;
  readonly upper: number;
}

export function clear({ lower, upper }: Sums): Code {
  return [...local.set(lower, v128.zero), ...local.set(upper, v128.zero)];
}

/** Adds a vector, which is cheap to repeat. */
export function add({ lower, upper }: Sums, value: Code): Code {
  const upperHalf = v128.shuffle32(value, value, [2, 3, 2, 3]);
  return [
    ...local.set(lower, f64x2.add(local.get(lower), f64x2.promoteLowF32x4(value))),
    ...local.set(upper, f64x2.add(local.get(upper), f64x2.promoteLowF32x4(upperHalf))),
  ];
}

const FLUSH = OPS.get("flush");

/** The sums divided by `count`, a float64 vector; `spare` is one more local. */
export function quotient({ lower, upper }: Sums, count: Code, spare: number): Code {
  const half = (sum: number) => f32x4.demoteF64x2Zero(f64x2.div(local.get(sum), count));
  const [exponent = [], zero = []] = FLUSH?.constants ?? [];
  return [
    ...local.set(spare, v128.shuffle32(half(lower), half(upper), [0, 1, 4, 5])),
    ...FLUSH?.emit?.(local.get(spare), exponent, zero) ?? [],
  ];
}
