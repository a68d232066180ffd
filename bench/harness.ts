/**
 * Paired measurements that give a trustworthy ratio on a shared machine: bursts of two contenders alternate in ABBA
 * order, every round gives one paired ratio, and the result is the median of the ratios. The harness knows no kernel,
 * no rival and no goal.
 *
 * Invariant: each contender has its own state. Callers check that results are equal before they measure.
 */

/** An operation that can be repeated, with a measure of its cost. */
export interface Contender {
  readonly name: string;
  /** Performs `count` operations and returns their cost in microseconds, always by the same clock. */
  cost(count: number): Promise<number> | number;
}

/** A contender whose cost is the wall time of `operation`. */
export function timed(name: string, operation: () => void): Contender {
  return {
    name,
    cost(count) {
      const start = performance.now();
      for (let i = 0; i < count; i += 1) operation();
      return (performance.now() - start) * 1000;
    },
  };
}

/** A contender whose cost is the wall time until `operation` is over. */
export function timedAsync(name: string, operation: () => Promise<void>): Contender {
  return {
    name,
    async cost(count) {
      const start = performance.now();
      for (let i = 0; i < count; i += 1) await operation();
      return (performance.now() - start) * 1000;
    },
  };
}

export interface CompareOptions {
  /** Rounds of ABBA: 31, or fewer for a quick look. */
  readonly rounds: number;
  /** The least cost of a burst, in milliseconds; operations are repeated until it is reached. */
  readonly burstMs: number;
  /** The most times that a noisy comparison is made; the one with the least spread counts. */
  readonly tries: number;
}

export const FULL: CompareOptions = { rounds: 31, burstMs: 4, tries: 3 };
export const QUICK: CompareOptions = { rounds: 7, burstMs: 1, tries: 1 };

/** A comparison is noisy if the 80th percentile of its paired ratios is more than this times the 20th. */
export const SPREAD_MAX = 1.03;

export interface Comparison {
  /** Median of the paired ratios rival's cost / our cost; above 1, ours is cheaper. */
  readonly ratio: number;
  readonly p20: number;
  readonly p80: number;
  readonly noisy: boolean;
  /** Median cost of one operation in microseconds. */
  readonly oursUs: number;
  readonly rivalUs: number;
}

/**
 * Compares `ours` with `rival`. Repeats a noisy comparison up to `tries` times and keeps the one with the least
 * spread.
 */
export async function compare(
  ours: Contender,
  rival: Contender,
  options: CompareOptions,
): Promise<Comparison> {
  let best = await compareOnce(ours, rival, options);
  for (let attempt = 1; attempt < options.tries && best.noisy; attempt += 1) {
    const next = await compareOnce(ours, rival, options);
    if (next.p80 / next.p20 < best.p80 / best.p20) best = next;
  }
  return best;
}

async function compareOnce(ours: Contender, rival: Contender, options: CompareOptions): Promise<Comparison> {
  const oursCount = await burstCount(ours, options.burstMs);
  const rivalCount = await burstCount(rival, options.burstMs);
  const ratios: number[] = [], oursUs: number[] = [], rivalUs: number[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    let oursCost = 0, rivalCost = 0;
    // ABBA, then BAAB: a machine that slows down or speeds up during a round affects both alike.
    for (const turn of round % 2 === 0 ? "ABBA" : "BAAB") {
      if (turn === "A") oursCost += await ours.cost(oursCount);
      else rivalCost += await rival.cost(rivalCount);
    }
    oursUs.push(oursCost / (2 * oursCount));
    rivalUs.push(rivalCost / (2 * rivalCount));
    ratios.push(rivalCost / (2 * rivalCount) / (oursCost / (2 * oursCount)));
  }
  const p20 = quantile(ratios, 0.2), p80 = quantile(ratios, 0.8);
  return {
    ratio: quantile(ratios, 0.5),
    p20,
    p80,
    noisy: p80 / p20 > SPREAD_MAX,
    oursUs: quantile(oursUs, 0.5),
    rivalUs: quantile(rivalUs, 0.5),
  };
}

/** Makes a new pair of contenders; `n` lets pairs alternate in which one is made first. */
type MakePair = (n: number) => Promise<{ readonly ours: Contender; readonly rival: Contender }>;

/**
 * Compares several pairs; returns the median of their ratios, and its spread over the pairs. For contenders that do
 * the same work: the placement of their memory pages makes one of a pair a percent or two faster for its whole life.
 */
export async function comparePairs(
  count: number,
  make: MakePair,
  options: CompareOptions,
): Promise<Comparison> {
  const pairs: Comparison[] = [];
  for (let n = 0; n < count; n += 1) {
    const { ours, rival } = await make(n);
    pairs.push(await compare(ours, rival, options));
  }
  const at = (figure: "ratio" | "oursUs" | "rivalUs", q: number) =>
    quantile(pairs.map((each) => each[figure]), q);
  const p20 = at("ratio", 0.2), p80 = at("ratio", 0.8);
  return {
    ratio: at("ratio", 0.5),
    p20,
    p80,
    noisy: p80 / p20 > SPREAD_MAX,
    oursUs: at("oursUs", 0.5),
    rivalUs: at("rivalUs", 0.5),
  };
}

/** Finds the number of operations that cost at least `burstMs`, and so warms the contender up. */
async function burstCount(contender: Contender, burstMs: number): Promise<number> {
  let count = 1;
  for (;;) {
    const costUs = await contender.cost(count);
    if (costUs >= burstMs * 1000) return count;
    // Grow at least twofold and at most tenfold: one slow first call must not end the search.
    count = Math.ceil(count * Math.min(10, Math.max(2, (burstMs * 1100) / Math.max(costUs, 1))));
  }
}

/** The `q` quantile of `values`, with linear interpolation; `values` must not be empty. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const low = sorted[Math.floor(position)] ?? NaN, high = sorted[Math.ceil(position)] ?? NaN;
  return low + (high - low) * (position - Math.floor(position));
}

/**
 * Throws unless `found` equals `wanted` element by element: bit for bit with `tolerance` 0, otherwise with
 * |found - wanted| ≤ tolerance × max(1, |wanted|).
 */
export function checkEqual(
  what: string,
  found: Float32Array,
  wanted: Float32Array,
  tolerance = 0,
): void {
  if (found.length !== wanted.length) {
    throw new Error(`Cannot time ${what}: it has ${found.length} elements, must have ${wanted.length}`);
  }
  for (let i = 0; i < found.length; i += 1) {
    const a = found[i] ?? NaN, b = wanted[i] ?? NaN;
    if (!(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)))) {
      throw new Error(`Cannot time ${what}: element ${i} is ${a}, must be ${b} (tolerance ${tolerance})`);
    }
  }
}
