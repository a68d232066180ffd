/** Marsaglia's xorshift (2003): a whole number below the given one, the same numbers for the same start. */
export function randomFrom(start: number): (below: number) => number {
  let state = start | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
