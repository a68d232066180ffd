/** Random rounds for property tests: contributions of several variables, ordinary or with special numbers. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { random, sameBits, SPECIAL } from "../../../kernels/support/special.ts";
import type { Round } from "./combine_list.ts";

const SHAPES = [[0], [1], [5, 3], [33], [4100, 2]];

export interface Drawn {
  readonly count: number;
  readonly shape: number;
  readonly seed: number;
}

export const drawn = (countMin: number) =>
  fc.record({
    count: fc.integer({ min: countMin, max: countMin + 12 }),
    shape: fc.nat(SHAPES.length - 1),
    seed: fc.nat(),
  });

/** Ordinary contributions; with `special` one number in eight is a special one. */
export function roundOf(
  { count, shape, seed }: Drawn,
  special = false,
): Round & { readonly weights: readonly number[] } {
  const next = random(seed);
  const number = () =>
    special && next() < 1 / 8
      ? SPECIAL[Math.floor(next() * SPECIAL.length)] as number
      : Math.fround((next() - 0.5) * 4);
  const contribution = () =>
    (SHAPES[shape] as number[]).map((length) => Float32Array.from({ length }, number));
  return { contributions: Array.from({ length: count }, contribution), weights: Array(count).fill(1) };
}

export function assertSame(found: readonly Float32Array[], wanted: readonly Float32Array[]): void {
  assert.equal(found.length, wanted.length);
  found.forEach((values, n) => assert.equal(sameBits(values, wanted[n] as Float32Array), undefined));
}
