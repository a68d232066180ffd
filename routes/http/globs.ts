/** Globs of run ids (src/globs.ts). */
import { matchesGlob } from "../../src/globs.ts";
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
