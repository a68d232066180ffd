/** Special float32 values at which arithmetic often goes wrong, seeded fills with them, and comparison of bits. */
import type { Arena } from "../../../kernels/arena.ts";
import type { ElementType } from "../../../kernels/compiler/pass.ts";

/** ±0, ±1, subnormals, the ends of the normal range, infinities, NaN. All are float32 values. */
export const SPECIAL: readonly number[] = [
  0,
  -0,
  1,
  -1,
  0.5,
  -3,
  2 ** -149,
  -(2 ** -130),
  2 ** -126,
  -(2 ** -126),
  Math.fround(3.4028234663852886e38),
  -Math.fround(3.4028234663852886e38),
  Infinity,
  -Infinity,
  NaN,
  Math.fround(1e-20),
  Math.fround(-1e20),
  Math.fround(0.1),
];

/** A small generator (mulberry32): the same seed gives the same numbers everywhere. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Fills a region with ordinary numbers; one in eight is a special number. */
export function fillSpecial(
  arena: Arena,
  region: { offset: number; count: number; type: ElementType; seed: number },
): void {
  const next = random(region.seed);
  const view = new DataView(arena.buffer);
  for (let n = 0; n < region.count; n++) {
    const special = next() < 1 / 8;
    const value = special ? SPECIAL[Math.floor(next() * SPECIAL.length)] as number : (next() - 0.5) * 4;
    if (region.type === "f32") view.setFloat32(region.offset + 4 * n, value, true);
    if (region.type === "f64") view.setFloat64(region.offset + 8 * n, value, true);
    if (region.type === "f16") view.setFloat16(region.offset + 2 * n, value, true);
    if (region.type === "bf16") {
      const bits = new Uint32Array(new Float32Array([value]).buffer)[0] as number;
      // Truncating the mantissa of a NaN may give an infinity; tests want both, so either is fine.
      view.setUint16(region.offset + 2 * n, bits >>> 16, true);
    }
  }
}

/** The first place where the bits differ, or undefined. Any NaN equals any NaN. */
export function sameBits(a: Float32Array, b: Float32Array): string | undefined {
  if (a.length !== b.length) return `length ${a.length} against ${b.length}`;
  for (let n = 0; n < a.length; n++) {
    if (!Object.is(a[n], b[n])) return `element ${n}: ${a[n]} against ${b[n]}`;
  }
  return undefined;
}
