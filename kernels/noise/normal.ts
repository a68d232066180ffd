/**
 * Two random 32-bit words → two normally distributed numbers, in float64:
 *
 *     √(−2 ln((u + ½) / 2³²)) · (cos, sin)(2π (v + ½) / 2³²)
 *
 * Logarithm, sine and cosine are series, accurate to 1e-9. They use additions, multiplications, one division and a
 * root, which every machine rounds the same way. The largest number is 6.8, although one in 10¹¹ should be larger.
 *
 * Source: Box, Muller 1958, "A note on the generation of random normal deviates".
 */
import type { Lines } from "../wasm/lines.ts";
import { type Code, f64x2, i32, i64x2, v128 } from "../wasm/wasm.ts";

/** ln z = 2s · Σ qⁿ / (2n + 1) with s = (z − 1) / (z + 1) and q = s², for z in √½..√2. */
const LOGARITHM = [1, 1 / 3, 1 / 5, 1 / 7, 1 / 9, 1 / 11, 1 / 13];
/** sin a = a · Σ and cos a = Σ of these and powers of a², for a in −π/4..π/4. */
const SINE = [1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800];
const COSINE = [1, -1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800];

const EXPONENT_OF_2_52 = 0x43300000, EXPONENT_OF_1 = 0x3ff00000;

/**
 * The normal numbers from the lower two lanes of u and v, as two vectors of two. Constants go to `once`, instructions
 * to `each`.
 */
export function normalPairs(once: Lines, each: Lines, u: Code, v: Code): [Code, Code] {
  const number = (value: number) => once.constant(v128.constF64(value));
  const bits = (high: number, low: number) => once.constant(v128.const([low, high, low, high]));
  const radius = radii(once, each, u);
  const rest = f64x2.convertLowI32u(v128.and(v, bits(0x3fffffff, 0x3fffffff)));
  const angle = each.keep(f64x2.mul(f64x2.sub(rest, number(2 ** 29 - 0.5)), number(Math.PI / 2 ** 31)));
  const q = each.keep(f64x2.mul(angle, angle));
  const cosine = each.keep(f64x2.mul(radius, polynomial(once, q, COSINE)));
  const sine = each.keep(f64x2.mul(radius, f64x2.mul(angle, polynomial(once, q, SINE))));
  // The upper two bits of v choose a quarter of the circle: one bit swaps the two numbers, the other negates them.
  const wide = each.keep(i64x2.extendLow32u(v));
  const sign = each.keep(v128.and(i64x2.shl(wide, i32.const(32)), bits(0x80000000, 0)));
  const swap = each.keep(i64x2.shrs(i64x2.shl(wide, i32.const(33)), i32.const(63)));
  return [
    v128.xor(v128.bitselect(sine, cosine, swap), sign),
    v128.xor(v128.bitselect(cosine, sine, swap), sign),
  ];
}

/** √(−2 ln((u + ½) / 2³²)) for the lower two lanes of u. */
function radii(once: Lines, each: Lines, u: Code): Code {
  const number = (value: number) => once.constant(v128.constF64(value));
  const bits = (high: number, low: number) => once.constant(v128.const([low, high, low, high]));
  // 2u + 1 is exact; its logarithm is that of a z in 1..2 plus that of a power of 2.
  const odd = each.keep(f64x2.add(f64x2.mul(f64x2.convertLowI32u(u), number(2)), number(1)));
  const exponent = f64x2.sub(
    v128.or(i64x2.shru(odd, i32.const(52)), bits(EXPONENT_OF_2_52, 0)),
    number(2 ** 52 + 1023),
  );
  const z = each.keep(v128.or(v128.and(odd, bits(0xfffff, 0xffffffff)), bits(EXPONENT_OF_1, 0)));
  const above = each.keep(f64x2.gt(z, number(Math.SQRT2)));
  const near = each.keep(v128.bitselect(f64x2.mul(z, number(0.5)), z, above));
  const s = each.keep(f64x2.div(f64x2.sub(near, number(1)), f64x2.add(near, number(1))));
  const q = each.keep(f64x2.mul(s, s));
  const logarithm = f64x2.mul(f64x2.mul(s, number(2)), polynomial(once, q, LOGARITHM));
  const power = f64x2.sub(f64x2.add(exponent, v128.and(above, number(1))), number(33));
  const sum = f64x2.add(logarithm, f64x2.mul(power, number(Math.LN2)));
  return each.keep(f64x2.sqrt(f64x2.mul(sum, number(-2))));
}

/** `c[0] + q·(c[1] + q·(c[2] + …))`. */
function polynomial(once: Lines, q: Code, coefficients: readonly number[]): Code {
  const [sum = [], ...lower] = coefficients.toReversed().map((value) => once.constant(v128.constF64(value)));
  return lower.reduce((inner, coefficient) => f64x2.add(f64x2.mul(inner, q), coefficient), sum);
}
