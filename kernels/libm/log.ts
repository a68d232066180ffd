/**
 * glibc's logf, and the binary logarithm inside its powf. Both write x = 2^k · z and take c near z from one table.
 */
import { bitsOf, fromBits, multiplyAdd } from "./float64.ts";

/** For each subinterval of z: 1 / c, ln c and log2 c, the logarithms correctly rounded. z / c is near 1. */
const SUBINTERVALS = [
  [1.398907162146528, -0.33569133332882284, -0.48430022186289673],
  [1.3403141896637998, -0.2929040563774074, -0.42257122959194704],
  [1.286432210124115, -0.2518726580937369, -0.3633754347673556],
  [1.2367150214269895, -0.21245868807117255, -0.30651309567405577],
  [1.1906977166711752, -0.17453945183745634, -0.25180720160537634],
  [1.1479821020556429, -0.1380057072319758, -0.19910014943794563],
  [1.1082251448272158, -0.10275976698545139, -0.14825100623281615],
  [1.0711297413057381, -0.06871392447020525, -0.09913323807318392],
  [1.036437278977283, -0.0357891387398228, -0.051632812977629436],
  [1, 0, 0],
  [0.9492859795739057, 0.05204517742929496, 0.07508531937943004],
  [0.8951049428609004, 0.11081431298787942, 0.15987125980713107],
  [0.8476821620351103, 0.1652495223695143, 0.2384046664317681],
  [0.8050314851692001, 0.21687389031699977, 0.31288288605863257],
  [0.7664671008843108, 0.2659635028121397, 0.38370422656453185],
  [0.731428603316328, 0.3127556664073557, 0.451211048935815],
] as const;

const column = (n: 0 | 1 | 2) => Float64Array.from(SUBINTERVALS, (row) => row[n]);
const INVERSES = column(0), LOGS = column(1), BINARY_LOGS = column(2);

/** The bits of the least z, about 0.7, so that numbers near 1 have k = 0 and lose no precision. */
const LEAST_Z = 0x3f330000;
const SMALLEST_NORMAL = 2 ** -126;

/** The bits of a positive finite float32 x; for a subnormal, as if exponents had no lower limit. */
function extendedBits(x: number): number {
  return x < SMALLEST_NORMAL ? bitsOf(x * 2 ** 23) - (23 << 23) : bitsOf(x);
}

/** ln x for a float32 x, with logf's bits. */
export function log(x: number): number {
  if (x === 0) return -Infinity;
  if (x === Infinity) return x;
  if (!(x > 0)) return NaN;
  const bits = extendedBits(x);
  const above = bits - LEAST_Z;
  const k = above >> 23, n = (above >> 19) & 15;
  const r = fromBits(bits - (k << 23)) * (INVERSES[n] as number) - 1;
  const start = (LOGS[n] as number) + k * Math.LN2;
  const r2 = r * r;
  const tail = -0.25089342214237154 * r2 + (0.333456765744066 * r - 0.4999997485802103);
  return Math.fround(tail * r2 + (start + r));
}

/** log2 x in float64 for a positive finite float32 x. */
export function binaryLog(x: number, fused: boolean): number {
  const bits = extendedBits(x);
  const above = bits - LEAST_Z;
  const k = above >> 23, n = (above >> 19) & 15;
  const r = multiplyAdd(fromBits(bits - (k << 23)), INVERSES[n] as number, -1, fused);
  const r2 = r * r;
  const high = multiplyAdd(0.288457581109214, r, -0.36092606229713164, fused);
  const middle = multiplyAdd(0.480898481472577, r, -0.7213474675006291, fused);
  const low = multiplyAdd(1.4426950408774342, r, (BINARY_LOGS[n] as number) + k, fused);
  return multiplyAdd(high, r2 * r2, multiplyAdd(middle, r2, low, fused), fused);
}
