/**
 * Repeatable inputs for the benchmarks. Not random numbers for any other use.
 *
 * Invariant: no magnitude is below 0.1, so squares and moving averages never become subnormal, which would slow every
 * contender by an amount that has nothing to do with the work.
 */

/** `count` values in ±[0.1, 1), the same for the same seed. */
export function gradientValues(count: number, seed: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  const next = uniform(seed);
  for (let i = 0; i < count; i += 1) {
    const value = next() * 1.8 - 0.9;
    values[i] = value < 0 ? value - 0.1 : value + 0.1;
  }
  return values;
}

/** `count` row indices below `rows`; `distinct` of them differ, the rest are repeats. */
export function rowIndices(
  count: number,
  distinct: number,
  rows: number,
  seed: number,
): Int32Array<ArrayBuffer> {
  const next = uniform(seed);
  const seen = new Set<number>();
  while (seen.size < distinct) seen.add(Math.floor(next() * rows));
  const pool = [...seen];
  const indices = new Int32Array(count);
  for (let i = 0; i < count; i += 1) indices[i] = pool[i < distinct ? i : Math.floor(next() * distinct)] ?? 0;
  for (let i = count - 1; i > 0; i -= 1) {
    const j = Math.floor(next() * (i + 1));
    [indices[i], indices[j]] = [indices[j] ?? 0, indices[i] ?? 0];
  }
  return indices;
}

/** mulberry32: returns a generator of numbers in [0, 1). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}
