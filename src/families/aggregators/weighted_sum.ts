/** Weighted sums of the contributions of a list: `Σ factor · g / divisor` in float32, in the order of the terms. */
import { Program } from "../../../kernels/compiler/compile.ts";
import type { ContributionList } from "./aggregator.ts";

export interface Term {
  readonly place: number;
  readonly factor: number;
}

const scope = { tensors: ["z", "g"], stored: ["z"], uniforms: ["factor"] };
const begin = new Program(["z = factor * g"], scope).kernel();
const add = new Program(["z = z + factor * g"], scope).kernel();
const divide = new Program(["z = z / factor"], scope).kernel();

/** All terms are added to this many elements before the next ones; they fit in the cache. */
const CHUNK = 1 << 15;

/** Fills the results. There is at least one term. */
export function fillWithSum(
  { arena, variables, runner }: ContributionList,
  { terms, divisor }: { terms: readonly Term[]; divisor: number },
): void {
  for (const { count, offsets, result } of variables) {
    for (let first = 0; first < count; first += CHUNK) {
      const rowLength = Math.min(CHUNK, count - first);
      const z = result + 4 * first;
      terms.forEach(({ place, factor }, n) => {
        const g = (offsets[place] as number) + 4 * first;
        const kernel = n === 0 ? begin : add;
        runner(arena, { kernel, tensors: { z, g }, rowCount: 1, rowLength, uniforms: { factor } });
      });
      if (divisor !== 1) {
        const uniforms = { factor: divisor };
        runner(arena, { kernel: divide, tensors: { z }, rowCount: 1, rowLength, uniforms });
      }
    }
  }
}
