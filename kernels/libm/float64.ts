/** Arithmetic that JavaScript lacks: the bits of a float32 number, and a·b + c rounded once. */

const float32 = new Float32Array(1);
const int32 = new Int32Array(float32.buffer);

/** The bits of a float32 number as an int32. */
export function bitsOf(value: number): number {
  float32[0] = value;
  return int32[0] as number;
}

/** The float32 number with these bits. */
export function fromBits(bits: number): number {
  int32[0] = bits;
  return float32[0] as number;
}

const SPLITTER = 2 ** 27 + 1;

/**
 * a·b + c rounded once, for numbers far from overflow and underflow (Veltkamp's and Dekker's exact product, Knuth's
 * exact sum). The sum of the two error terms is rounded, which could tip a tie about once in 2^50 calls. Where c
 * nearly cancels a·b, one error term is zero and the result is exact.
 */
export function fusedMultiplyAdd(a: number, b: number, c: number): number {
  const product = a * b;
  const aScaled = a * SPLITTER, aHigh = aScaled - (aScaled - a), aLow = a - aHigh;
  const bScaled = b * SPLITTER, bHigh = bScaled - (bScaled - b), bLow = b - bHigh;
  const productRest = aLow * bLow - (((product - aHigh * bHigh) - aLow * bHigh) - aHigh * bLow);
  const sum = product + c, cSeen = sum - product;
  const sumRest = (product - (sum - cSeen)) + (c - cSeen);
  return sum + (sumRest + productRest);
}

/** a·b + c, rounded once or twice. (A flag, because a function as a parameter makes pow three times as slow.) */
export function multiplyAdd(a: number, b: number, c: number, fused: boolean): number {
  return fused ? fusedMultiplyAdd(a, b, c) : a * b + c;
}
