/** Tests of the noise: bit for bit against noise_law.ts, noise_law.ts against the papers, and the statistics. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Arena } from "../../../kernels/arena.ts";
import { addGaussianNoise, type Noise } from "../../../kernels/noise/noise.ts";
import { noiseAt, normalPair, philoxWords } from "./support/noise_law.ts";

const NOISE: Noise = { seed: 1, stream: 0, iteration: 0, variable: 0, stddev: 1 };

/** Returns `values` with noise added, in a region of their own. */
function noisy(noise: Noise, values: Float32Array): Float32Array {
  const arena = new Arena({ bytesMax: 2 ** 26 });
  const offset = arena.allocate(4 * values.length);
  arena.f32(offset, values.length).set(values);
  addGaussianNoise(arena, { offset, count: values.length }, noise);
  return arena.f32(offset, values.length).slice();
}

const drawn = (noise: Noise, count: number) => noisy(noise, new Float32Array(count));

Deno.test("philoxWords() gives the known answers of Random123", () => {
  const hex = (words: number[]) => words.map((word) => word.toString(16).padStart(8, "0")).join(" ");
  const ones = [0xffffffff, 0xffffffff];
  assert.equal(hex(philoxWords([0, 0, 0, 0], [0, 0])), "6627e8d5 e169c58d bc57ac4c 9b00dbd8");
  assert.equal(hex(philoxWords([...ones, ...ones], ones)), "408f276d 41c83b0e a20bc7c6 6d5451fd");
  const pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], key = [0xa4093822, 0x299f31d0];
  assert.equal(hex(philoxWords(pi, key)), "d16cfe09 94fdcceb 5001e420 24126ea1");
});

Deno.test("normalPair() is Box and Muller's formula to 1e-9 of the radius, at extreme words too", () => {
  const word = fc.oneof(
    fc.nat(0xffffffff),
    fc.constantFrom(0, 1, 2 ** 30 - 1, 2 ** 30, 2 ** 31, 2 ** 32 - 1),
  );
  fc.assert(
    fc.property(word, word, (u, v) => {
      const radius = Math.sqrt(-2 * Math.log1p((u + 0.5) / 2 ** 32 - 1));
      // The code orders and mirrors the quarters of the circle differently; the distribution is the formula's.
      const [a, b] = normalPair(u, v);
      assert(Math.abs(Math.hypot(a, b) - radius) <= 1e-9 * radius, `radius of ${u}, ${v}`);
      const turned = Math.atan2(Math.abs(b), Math.abs(a)) / (Math.PI / 2);
      const place = ((v & 0x3fffffff) + 0.5) / 2 ** 30;
      const wanted = v & 0x40000000 ? 1 - Math.abs(place - 0.5) : Math.abs(place - 0.5);
      assert(Math.abs(turned - wanted) <= 1e-9, `angle of ${u}, ${v}: ${turned}, wanted ${wanted}`);
    }),
    { numRuns: 2000, seed: 4 },
  );
});

Deno.test("addGaussianNoise() adds the law's bits for any length, seed and place", () => {
  const integer = fc.oneof(fc.nat(100), fc.maxSafeNat());
  const noises = fc.record({
    seed: integer,
    stream: fc.nat(2047),
    iteration: integer,
    variable: fc.nat(0xffffffff),
    stddev: fc.oneof(fc.constantFrom(0, 1, 1e-40, 1e30), fc.float({ min: 0, max: 10, noNaN: true })),
  });
  fc.assert(
    fc.property(noises, fc.nat(67), fc.nat(1000), (noise, count, start) => {
      const values = Float32Array.from({ length: count }, (_, n) => Math.sin(start + n));
      const wanted = values.map((value, n) => value + noiseAt(noise, n));
      assert.deepEqual(noisy(noise, values), wanted);
    }),
    { numRuns: 300, seed: 5 },
  );
});

Deno.test("addGaussianNoise() gives an element the same noise in a tensor of any size", () => {
  const long = drawn(NOISE, 5000);
  for (const count of [1, 15, 16, 17, 4999]) assert.deepEqual(drawn(NOISE, count), long.slice(0, count));
  for (const n of [0, 1, 4, 16, 63, 64, 4097, 4999]) assert.equal(long[n], noiseAt(NOISE, n));
});

Deno.test("addGaussianNoise() keeps the recorded bits, which the replay of journals needs", () => {
  const bits = (noise: Noise) =>
    [...new Uint32Array(drawn(noise, 6).buffer)].map((word) => word.toString(16));
  assert.deepEqual(bits(NOISE), ["bd73a552", "3ba30687", "bfc26cc0", "3f220777", "bef4fbdc", "bf6440c5"]);
  const far = { seed: 2 ** 53 - 1, stream: 3, iteration: 2 ** 40, variable: 7, stddev: 0.1 };
  assert.deepEqual(bits(far), ["3c4b96be", "3d789403", "3ce366fa", "bd622a1a", "3c301360", "3e8f5541"]);
});

Deno.test("addGaussianNoise() writes nothing beyond the region", () => {
  const arena = new Arena({ bytesMax: 2 ** 20 });
  const [before, offset, after] = [arena.allocate(64), arena.allocate(4 * 17), arena.allocate(64)];
  arena.f32(before, 16).fill(7);
  arena.f32(after, 16).fill(7);
  addGaussianNoise(arena, { offset, count: 17 }, NOISE);
  addGaussianNoise(arena, { offset, count: 0 }, NOISE);
  assert.deepEqual([...arena.f32(before, 16), ...arena.f32(after, 16)], Array(32).fill(7));
});

/** The normal distribution function (Abramowitz, Stegun 7.1.26, accurate to 1e-7). */
function normalCdf(z: number): number {
  const x = Math.abs(z) / Math.SQRT2, t = 1 / (1 + 0.3275911 * x);
  const coefficients = [0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429];
  const upper = coefficients.reduceRight((sum, c) => (sum + c) * t, 0) * Math.exp(-x * x) / 2;
  return z < 0 ? upper : 1 - upper;
}

const COUNT = 2 ** 18;
const mean = (values: Float32Array, of: (x: number) => number) =>
  values.reduce((sum, x) => sum + of(x), 0) / values.length;

// Seeds are fixed, so these tests are deterministic. The bounds are 4 standard deviations.
Deno.test("noise is normal by its mean, variance, skew, kurtosis, tails and Kolmogorov distance", () => {
  for (const seed of [1, 2, 12345, 2 ** 52 + 9]) {
    const z = drawn({ ...NOISE, seed, iteration: seed % 100 }, COUNT);
    const near = (value: number, wanted: number, deviation: number, name: string) =>
      assert(Math.abs(value - wanted) < 4 * deviation / Math.sqrt(COUNT), `seed ${seed}: ${name} ${value}`);
    near(mean(z, (x) => x), 0, 1, "mean");
    near(mean(z, (x) => x * x), 1, Math.sqrt(2), "variance");
    near(mean(z, (x) => x ** 3), 0, Math.sqrt(15), "third moment");
    near(mean(z, (x) => x ** 4), 3, Math.sqrt(96), "fourth moment");
    for (const [bound, share] of [[1, 0.31731051], [2, 0.04550026], [3, 0.0026998], [4, 6.334e-5]] as const) {
      near(mean(z, (x) => Math.abs(x) > bound ? 1 : 0), share, Math.sqrt(share), `share beyond ${bound}`);
    }
    const distance = z.toSorted().reduce((most, x, n) => {
      const cdf = normalCdf(x);
      return Math.max(most, Math.abs(cdf - n / COUNT), Math.abs(cdf - (n + 1) / COUNT));
    }, 0);
    // One in 10,000 random samples has a distance beyond 2.23 / √n.
    assert(distance < 2.23 / Math.sqrt(COUNT), `seed ${seed}: distance ${distance}`);
  }
});

Deno.test("noise is not correlated between neighbours, variables, iterations, seeds and streams", () => {
  const z = drawn(NOISE, COUNT);
  const others = {
    variable: drawn({ ...NOISE, variable: 1 }, COUNT),
    iteration: drawn({ ...NOISE, iteration: 1 }, COUNT),
    "iteration 2^32": drawn({ ...NOISE, iteration: 2 ** 32 }, COUNT),
    seed: drawn({ ...NOISE, seed: 2 }, COUNT),
    "seed 2^32": drawn({ ...NOISE, seed: 1 + 2 ** 32 }, COUNT),
    stream: drawn({ ...NOISE, stream: 1 }, COUNT),
    ...Object.fromEntries([1, 2, 3, 4, 5, 8, 12, 15, 16].map((lag) => [`lag ${lag}`, z.subarray(lag)])),
  };
  for (const [name, other] of Object.entries(others)) {
    const correlation = other.reduce((sum, x, n) => sum + x * (z[n] as number), 0) / other.length;
    assert(Math.abs(correlation) < 4 / Math.sqrt(COUNT), `${name}: ${correlation}`);
    // Squares must not correlate either, although the two numbers of a pair share a radius.
    const squares = other.reduce((sum, x, n) => sum + (x * x - 1) * ((z[n] as number) ** 2 - 1), 0) /
      other.length;
    assert(Math.abs(squares) < 8 / Math.sqrt(COUNT), `${name}, squares: ${squares}`);
  }
});

Deno.test("addGaussianNoise() touches nothing around the tensor, whatever its place and length", () => {
  const arena = new Arena({ bytesMax: 2 ** 26 });
  const room = arena.allocate(4 * 256);
  arena.u8(0, 64).set([1, 2, 3], 32);
  for (let count = 0; count <= 67; count++) {
    arena.f32(room, 256).fill(7);
    const before = arena.u8(0, room + 4 * 256).slice(), offset = room + 4 * (count % 5 + 1);
    addGaussianNoise(arena, { offset, count }, NOISE);
    const after = arena.u8(0, room + 4 * 256).slice();
    after.set(before.subarray(offset, offset + 4 * count), offset);
    assert.deepEqual(after, before, `${count}`);
  }
});
