/**
 * Philox4x32-10 over four blocks at a time: random words as a function of a 128-bit counter and a 64-bit key. Blocks
 * are independent, so any part of a stream can be generated again. Not for cryptography.
 *
 * Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
 */
import type { Lines } from "../wasm/lines.ts";
import { type Code, i32x4, i64x2, v128 } from "../wasm/wasm.ts";

const ROUNDS = 10;
const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const;
/** Added to the two words of the key each round: the golden ratio and √3 − 1. */
const WEYL = [0x9e3779b9, 0xbb67ae85] as const;

export type Words = readonly [Code, Code, Code, Code];

/**
 * The four words of four blocks, one block per lane. `counter` and `key` are vectors, lowest word first. Code that is
 * the same for all blocks goes to `once`, the rounds go to `each`.
 */
export function philox(once: Lines, each: Lines, counter: Words, key: readonly [Code, Code]): Words {
  const word = (value: number) => once.constant(v128.constI32(value));
  const multipliers = [word(MULTIPLIERS[0]), word(MULTIPLIERS[1])] as const;
  const weyl = [word(WEYL[0]), word(WEYL[1])] as const;
  const product = (a: Code, b: Code) => {
    const first = each.keep(i64x2.multiplyLow32u(a, b)), second = each.keep(i64x2.multiplyHigh32u(a, b));
    return {
      low: v128.shuffle32(first, second, [0, 2, 4, 6]),
      high: v128.shuffle32(first, second, [1, 3, 5, 7]),
    };
  };
  let [a, b, c, d] = counter, [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) {
      k0 = each.keep(i32x4.add(k0, weyl[0]));
      k1 = each.keep(i32x4.add(k1, weyl[1]));
    }
    const p = product(a, multipliers[0]), q = product(c, multipliers[1]);
    a = each.keep(v128.xor(v128.xor(q.high, b), k0));
    b = each.keep(q.low);
    c = each.keep(v128.xor(v128.xor(p.high, d), k1));
    d = each.keep(p.low);
  }
  return [a, b, c, d];
}
