/**
 * Random numbers: the sequences that tfjs draws from the same seed, one after the other.
 *
 * tfjs itself is not used, because it makes a whole tensor at once and then looks at every element of it: one of 10^8
 * numbers would end the process. Not a source of seeds.
 *
 * Source: Marsaglia, Bray 1964, "A convenient method for generating normal variables" (the polar method), on Alea by
 * Johannes Baagøe. Variant: tfjs' truncation, which drops values beyond two standard deviations one by one.
 */
import alea from "seedrandom/lib/alea.js";
import type { Fill } from "./initializer.ts";

export interface Draw {
  readonly distribution: "uniform" | "normal" | "truncated_normal";
  /** The lower end of a uniform distribution, the mean of a normal one. */
  readonly from: number;
  /** The upper end of a uniform distribution, the standard deviation of a normal one. */
  readonly to: number;
  readonly seed: number;
}

/** Draws float32 numbers. A truncated normal distribution ends at two standard deviations. */
export function draw({ distribution, from, to, seed }: Draw): Fill {
  const random: () => number = alea(String(seed));
  if (distribution === "uniform") {
    const range = to - from;
    return (part) => {
      for (let at = 0; at < part.length; at++) part[at] = from + range * random();
    };
  }
  const reach = distribution === "truncated_normal" ? to * 2 : Infinity;
  return normal(random, { mean: from, deviation: to, lower: from - reach, upper: from + reach });
}

interface Normal {
  readonly mean: number;
  readonly deviation: number;
  /** Values beyond these are drawn again. */
  readonly lower: number;
  readonly upper: number;
}

/** The polar method draws two numbers at a time. The second one may be left over for the next part. */
function normal(random: () => number, { mean, deviation, lower, upper }: Normal): Fill {
  let second = NaN;
  const next = () => {
    for (;;) {
      let x: number, y: number, squares: number;
      do {
        x = 2 * random() - 1;
        y = 2 * random() - 1;
        squares = x * x + y * y;
      } while (squares >= 1 || squares === 0);
      const factor = Math.sqrt(-2 * Math.log(squares) / squares);
      const one = mean + deviation * x * factor;
      const other = mean + deviation * y * factor;
      if (!(one >= lower && one <= upper)) continue;
      second = other >= lower && other <= upper ? other : NaN;
      return one;
    }
  };
  return (part) => {
    let at = 0;
    if (part.length > 0 && !Number.isNaN(second)) {
      part[at++] = second;
      second = NaN;
    }
    while (at < part.length) {
      part[at++] = next();
      if (at < part.length && !Number.isNaN(second)) {
        part[at++] = second;
        second = NaN;
      }
    }
  };
}
