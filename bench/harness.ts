/**
 * Measures one thing against another so that the ratio can be trusted on a shared machine: bursts of both alternate
 * in ABBA order, every round gives one paired ratio, and the answer is their median. It knows no kernel, no rival and
 * no goal.
 *
 * Invariant: each contender has state of its own; results are checked for equality before anything here is called.
 */

/** Something that can be done again and again, and what doing it costs. */
export interface Contender {
  readonly name: string;
  /** Does `count` operations and returns what they cost, in microseconds of any one clock. */
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
  /** Rounds of ABBA: 31 unless the caller asked for a quick look. */
  readonly rounds: number;
  /** The cheapest burst that is measured, in milliseconds; operations are repeated until it is reached. */
  readonly burstMs: number;
  /** How often a noisy comparison is made at most; the calmest one counts. */
  readonly tries: number;
}

export const FULL: CompareOptions = { rounds: 31, burstMs: 4, tries: 3 };
export const QUICK: CompareOptions = { rounds: 7, burstMs: 1, tries: 1 };

/** Comparisons whose 20th and 80th percentile of the paired ratios lie further apart than this are noisy. */
export const SPREAD_MAX = 1.03;

export interface Comparison {
  /** Median of the paired ratios rival's cost / our cost: above 1 we are cheaper. */
  readonly ratio: number;
  readonly p20: number;
  readonly p80: number;
  readonly noisy: boolean;
  /** Median cost of one operation in microseconds. */
  readonly oursUs: number;
  readonly rivalUs: number;
}

/**
 * Compares `ours` with `rival`; while the spread is over {@link SPREAD_MAX} tries again, and keeps the calmest try.
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
    // ABBA, then BAAB: a machine that slows down or speeds up during a round hits both alike.
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

/** Contenders made anew, and `n` so that they can take turns in what comes first. */
type MakePair = (n: number) => Promise<{ readonly ours: Contender; readonly rival: Contender }>;

/**
 * Compares several pairs, and gives the median of their ratios with its spread over them. For contenders that do the
 * same work: where the pages of their memory happen to lie makes one of a pair a percent or two faster, for as long
 * as it lives.
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

/** How many operations cost at least `burstMs`; warms the contender up on the way. */
async function burstCount(contender: Contender, burstMs: number): Promise<number> {
  let count = 1;
  for (;;) {
    const costUs = await contender.cost(count);
    if (costUs >= burstMs * 1000) return count;
    // Doubling at least, ten times at most: one slow first call must not end the search.
    count = Math.ceil(count * Math.min(10, Math.max(2, (burstMs * 1100) / Math.max(costUs, 1))));
  }
}

/** The value below which the share `q` of `values` lies, with linear interpolation; `values` is not empty. */
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
