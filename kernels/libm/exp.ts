/** glibc's expf, and the power of two that expf shares with powf. */
import { fusedMultiplyAdd, multiplyAdd } from "./float64.ts";

/** 2 ^ (n / 32), correctly rounded. */
const ROOTS = Float64Array.of(
  ...[1, 1.0218971486541166, 1.0442737824274138, 1.0671404006768237, 1.0905077326652577, 1.1143867425958924],
  ...[1.1387886347566916, 1.1637248587775775, 1.189207115002721, 1.215247359980469, 1.241857812073484],
  ...[1.2690509571917332, 1.2968395546510096, 1.3252366431597413, 1.3542555469368927, 1.383909881963832],
  ...[1.4142135623730951, 1.4451808069770467, 1.4768261459394993, 1.5091644275934228, 1.5422108254079407],
  ...[1.5759808451078865, 1.6104903319492543, 1.645755478153965, 1.681792830507429, 1.718619298122478],
  ...[1.7562521603732995, 1.7947090750031072, 1.8340080864093424, 1.8741676341103, 1.9152065613971474],
  1.9571441241754002,
);

/** Minimax polynomial of 2 ^ (r / 32) on -1/2..1/2; the constant term is 1. */
const CUBE = 1.6938359250920212e-06, SQUARE = 0.00023459809789509004, LINE = 0.021660849396613134;

const THIRTY_SECONDS = 46.16624130844683; // 32 / ln 2

/** Adding and subtracting this number rounds to an integer, ties to even. */
const ROUNDER = 2 ** 52 * 1.5;

export const roundToInteger = (value: number): number => (value + ROUNDER) - ROUNDER;

/** The powers from 2 ^ -152, below all float32 numbers, to 2 ^ 130, above all. */
const LEAST_POWER = -152;
const POWERS = Float64Array.from({ length: 283 }, (_, n) => 2 ** (LEAST_POWER + n));

/** 2 ^ ((n + rest) / 32) in float64, for an integer n in -4864..4191 and rest in -1/2..1/2. */
export function thirtySecondPower(n: number, rest: number, fused: boolean): number {
  const scale = (ROOTS[n & 31] as number) * (POWERS[(n >> 5) - LEAST_POWER] as number);
  const high = multiplyAdd(CUBE, rest, SQUARE, fused);
  const low = multiplyAdd(LINE, rest, 1, fused);
  return multiplyAdd(high, rest * rest, low, fused) * scale;
}

/** e ^ x for a float32 x, with expf's bits. */
export function exp(x: number): number {
  if (Number.isNaN(x)) return NaN;
  // Beyond these bounds float32 has only infinity and 0.
  if (x > 89) return Infinity;
  if (x < -104) return 0;
  const n = roundToInteger(THIRTY_SECONDS * x);
  return Math.fround(thirtySecondPower(n, fusedMultiplyAdd(THIRTY_SECONDS, x, -n), false));
}
