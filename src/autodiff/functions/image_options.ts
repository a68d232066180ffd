/** Options that functions of images [batch, height, width, channels] share: pairs of numbers, and padding. */
import { type Literal, type Option, word } from "./define.ts";
import type { Pair } from "./windows.ts";

const readPair = (literal: Literal): Pair | undefined => {
  const pair = typeof literal === "number" ? [literal, literal] : literal;
  const isPair = Array.isArray(pair) && pair.length === 2 &&
    pair.every((n) => Number.isSafeInteger(n) && n > 0);
  return isPair ? pair as number[] : undefined;
};

/** Height and width; one number is both. */
export const pair = (initial?: Pair): Option<Pair> => ({
  wanted: "a positive integer or two of them",
  ...initial && { initial },
  read: readPair,
});

export const pairOrNone = (): Option<Pair | null> => ({
  wanted: "a positive integer, two of them, or none",
  initial: null,
  read: (literal) => literal === "none" ? null : readPair(literal),
});

export const padding = () => word(["valid", "same"], "valid");
