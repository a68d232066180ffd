/**
 * The law of kernels/noise/noise.ts, element by element in plain arithmetic: Philox with whole 64-bit products, then
 * Box and Muller with the same series in the same order.
 */
import type { Noise } from "../../../../kernels/noise/noise.ts";

const MASK = 0xffffffffn;

/** The four words of a block; counter and key with the lowest word first. */
export function philoxWords(counter: readonly number[], key: readonly number[]): number[] {
  let [a, b, c, d] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const p = 0xd2511f53n * a, q = 0xcd9e8d57n * c;
    [a, b, c, d] = [(q >> 32n) ^ b ^ k0, q & MASK, (p >> 32n) ^ d ^ k1, p & MASK];
    k0 = (k0 + 0x9e3779b9n) & MASK;
    k1 = (k1 + 0xbb67ae85n) & MASK;
  }
  return [a, b, c, d].map(Number);
}

const series = (q: number, coefficients: readonly number[]) =>
  coefficients.reduceRight((sum, coefficient) => sum * q + coefficient);

/** Two normal numbers from two words, in float64. */
export function normalPair(u: number, v: number): [number, number] {
  const odd = 2 * u + 1;
  let exponent = Math.floor(Math.log2(odd));
  let z = odd / 2 ** exponent;
  if (z > Math.SQRT2) [z, exponent] = [z / 2, exponent + 1];
  const s = (z - 1) / (z + 1);
  const logarithm = s * 2 * series(s * s, [1, 1 / 3, 1 / 5, 1 / 7, 1 / 9, 1 / 11, 1 / 13]);
  const radius = Math.sqrt((logarithm + (exponent - 33) * Math.LN2) * -2);
  const angle = ((v & 0x3fffffff) - (2 ** 29 - 0.5)) * (Math.PI / 2 ** 31), q = angle * angle;
  const cosine = radius * series(q, [1, -1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800]);
  const sine = radius * (angle * series(q, [1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800]));
  const [first, second] = v & 0x40000000 ? [sine, cosine] : [cosine, sine];
  return v >>> 31 === 1 ? [-first, -second] : [first, second];
}

/** stddev · z of one element, in float32. */
export function noiseAt({ seed, stream, iteration, variable, stddev }: Noise, element: number): number {
  const low = (integer: number) => integer % 2 ** 32,
    high = (integer: number) => Math.floor(integer / 2 ** 32);
  const group = Math.floor(element / 16), place = Math.floor((element % 16) / 4), lane = element % 4;
  const counter = [4 * group + lane, variable, low(iteration), high(iteration)];
  const words = philoxWords(counter, [low(seed), high(seed) + stream * 2 ** 21]);
  const [u, v] = words.slice(place < 2 ? 0 : 2) as [number, number];
  return Math.fround(Math.fround(normalPair(u, v)[place % 2] as number) * Math.fround(stddev));
}
