/**
 * Globs of run ids, as in a shell: `*` stands for any characters, also none, `?` for one. Everything else stands for
 * itself.
 *
 * Invariant: a match takes at most as many comparisons as the product of both lengths, and both are bounded. A regular
 * expression of several `*` may take exponential time.
 */
import { RUN_ID_LENGTH_MAX } from "./ids.ts";

/** The characters of run ids and the two that stand for others. */
export const GLOB = new RegExp(`^[A-Za-z0-9._*?-]{1,${RUN_ID_LENGTH_MAX}}$`);

export class RunGlobs {
  readonly patterns: readonly string[];
  /** Whether one of them matches whatever id there may be. */
  readonly matchAll: boolean;

  constructor(patterns: readonly string[]) {
    this.patterns = patterns;
    this.matchAll = patterns.some((pattern) => /^\*+$/.test(pattern));
  }

  matches(id: string): boolean {
    if (this.matchAll) return true;
    return id.length <= RUN_ID_LENGTH_MAX && this.patterns.some((pattern) => matchesGlob(pattern, id));
  }
}

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
