/**
 * The parts that the kernels of order.ts and order_tiles.ts share: the request, and pieces of code for four elements
 * per vector. order.ts defines the result.
 *
 * Invariant: no value on a wire is NaN. Zeros of either sign count as equal there; the sums begin with +0 and lose
 * the sign.
 */
import { OPS } from "../language/ops.ts";
import type { PrunedComparator } from "./sorting.ts";
import { type Code, f32x4, f64x2, local, v128 } from "../wasm/wasm.ts";

export interface RankMean {
  /** Byte offsets of the tensors: float32, 16-byte aligned. */
  readonly inputs: readonly number[];
  /** Byte offset of the result, 16-byte aligned; it overlaps no input. */
  readonly result: number;
  /** Elements. Inputs are read, and the result is written, up to the next multiple of four. */
  readonly count: number;
  /** Byte offset of `scratchBytes` bytes of scratch, 16-byte aligned. */
  readonly scratch: number;
  /** 0 ≤ from < to ≤ number of inputs. */
  readonly from: number;
  readonly to: number;
}

/** Replaces NaN by +Infinity. `infinity` is a vector of +Infinity. */
export function ordered(value: Code, infinity: Code): Code {
  return f32x4.pmin(infinity, value);
}

/** The locals of a network's wires, and how they are loaded and stored. There are more wires than registers. */
export interface Wires {
  /** The local of wire 0; the others follow. */
  readonly first: number;
  /** One more local. */
  readonly spare: number;
  /** The value of a wire, loaded before its first comparator. */
  load(wire: number): Code;
  /** Stores a wire's value after its last comparator. */
  store?(wire: number, value: Code): Code;
}

/** The code of a network of at least one comparator. */
export function sorted(
  network: readonly PrunedComparator[],
  { first, spare, load, store = () => [] }: Wires,
): Code {
  const last = new Map(network.flatMap(({ low, high }, n) => [[low, n], [high, n]]));
  const loaded = new Set<number>();
  return network.flatMap((each, n) => {
    const wires = [each.low, each.high];
    const fresh = wires.filter((wire) => !loaded.has(wire));
    fresh.forEach((wire) => loaded.add(wire));
    const done = wires.filter((wire) => last.get(wire) === n);
    return [
      ...fresh.flatMap((wire) => local.set(first + wire, load(wire))),
      ...comparator(each, first, spare),
      ...done.flatMap((wire) => store(wire, local.get(first + wire))),
    ];
  });
}

function comparator(
  { low, high, keepsLow, keepsHigh }: PrunedComparator,
  first: number,
  spare: number,
): Code {
  const { get, set } = local;
  const a = first + low, b = first + high;
  const least = f32x4.pmin(get(a), get(b)), greatest = f32x4.pmax(get(a), get(b));
  if (!keepsHigh) return set(a, least);
  if (!keepsLow) return set(b, greatest);
  return [...set(spare, least), ...set(b, greatest), ...set(a, get(spare))];
}

/** Two locals that hold the float64 sums of a vector's lower and upper two lanes. */
export interface Sums {
  readonly lower: number;
  readonly upper: number;
}

export function clear({ lower, upper }: Sums): Code {
  return [...local.set(lower, v128.zero), ...local.set(upper, v128.zero)];
}

/** Adds a vector to the sums; its code is repeated, so it must be cheap. */
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
