/** glibc's cosf: reduces the argument to -π/4..π/4, then evaluates a polynomial of cosine or sine. */
import { bitsOf, fusedMultiplyAdd } from "./float64.ts";

const HALF_PI = Math.PI / 2;
/** Right angles per radian, in units of 2^-24: adding half a right angle and shifting rounds to whole ones. */
const QUARTERS = 2 / Math.PI * 2 ** 24;

/** The first 192 bits of 4 / π; the first bit is worth 1. */
const FOUR_OVER_PI = 0xa2f9836e_4e441529_fc2757d1_f534ddc0_db629599_3c439041n;

function cosineNearZero(r: number): number {
  const r2 = r * r, r4 = r2 * r2;
  const low = (1 - 0.49999999725108224 * r2) + 0.041666623324344516 * r4;
  return low + r4 * r2 * (2.4390450703564542e-05 * r2 - 0.001388676379437604);
}

function sineNearZero(r: number): number {
  const r2 = r * r, r3 = r * r2;
  const low = r - 0.16666654943701084 * r3;
  return low + r3 * r2 * (0.008332178146138854 - 0.00019517298981385725 * r2);
}

/** The cosine of `quarter` right angles and r. */
function cosineOf(quarter: number, r: number): number {
  switch (quarter & 3) {
    case 0:
      return cosineNearZero(r);
    case 1:
      return sineNearZero(-r);
    case 2:
      return -cosineNearZero(r);
    default:
      return sineNearZero(r);
  }
}

/**
 * The cosine of x ≥ 120: the 24 bits of x times the 96 bits of 4 / π that matter, without whole turns. The product
 * counts right angles in units of 2^-62.
 */
function cosineOfLarge(x: number): number {
  const bits = bitsOf(x);
  const significand = ((bits & 0x7fffff) | 0x800000) << ((bits >> 23) & 7);
  const window = BigInt.asUintN(96, FOUR_OVER_PI >> BigInt(8 * (15 - ((bits >> 26) & 15))));
  const turned = BigInt.asUintN(64, (BigInt(significand) * window) >> 32n);
  const quarter = (turned + (1n << 61n)) >> 62n;
  return cosineOf(Number(quarter), Number(turned - (quarter << 62n)) * (Math.PI * 2 ** -63));
}

/** cos x for a float32 x, with cosf's bits. */
export function cos(x: number): number {
  const positive = Math.abs(x);
  if (positive < 120) {
    const quarter = (Math.trunc(positive * QUARTERS) + 0x800000) >> 24;
    return Math.fround(cosineOf(quarter, fusedMultiplyAdd(-quarter, HALF_PI, positive)));
  }
  return positive < Infinity ? Math.fround(cosineOfLarge(positive)) : NaN;
}
