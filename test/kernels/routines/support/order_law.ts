/**
 * The law of kernels/routines/order.ts in plain TypeScript, element by element. It is slow on purpose; the tests
 * compare the kernels with it.
 */

/** The mean of the values at the ranks from..to-1, in float64 and in the order of the ranks, rounded once. */
export function meanOfRanksLaw(
  tensors: readonly Float32Array[],
  { from, to }: { from: number; to: number },
): Float32Array {
  return Float32Array.from(tensors[0] as Float32Array, (_, element) => {
    const values = tensors.map((tensor) => tensor[element] as number)
      .map((value) => Number.isNaN(value) ? Infinity : value + 0)
      // Compare, do not subtract: the difference of two infinities is NaN.
      .sort((a, b) => a < b ? -1 : a > b ? 1 : 0);
    const sum = values.slice(from, to).reduce((total, value) => total + value, 0);
    const mean = Math.fround(sum / (to - from));
    return Math.abs(mean) < 2 ** -126 ? mean * 0 : mean;
  });
}
