/**
 * Globs, as in a shell: `*` stands for any characters, also none, `?` for one. Everything else stands for itself.
 *
 * Invariant: a match takes at most as many comparisons as the product of both lengths. A regular expression of several
 * `*` may take exponential time.
 */

/** Whether the whole text fits the pattern. */
export function matchesGlob(pattern: string, text: string): boolean {
  let at = 0, next = 0;
  /** After the last `*` so far, and the first character that it does not stand for. */
  let afterStar = -1, starEnd = 0;
  while (at < text.length) {
    const wanted = pattern[next];
    if (wanted === "*") {
      afterStar = ++next;
      starEnd = at;
    } else if (wanted !== undefined && (wanted === "?" || wanted === text[at])) {
      at++;
      next++;
    } else if (afterStar >= 0) {
      // The last star takes one more. An earlier one need not: what it gave up, the last one can take.
      next = afterStar;
      at = ++starEnd;
    } else return false;
  }
  while (pattern[next] === "*") next++;
  return next === pattern.length;
}
