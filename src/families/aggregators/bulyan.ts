/**
 * Krum and a trimmed mean in one: Krum chooses θ = n − 2f contributions one after the other, then each element is the
 * mean of the θ − 2f chosen values nearest to their median.
 *
 * Up to f of n ≥ 4f + 3 contributions may be arbitrary. Where Krum alone lets a hostile contribution hide a great
 * change in few elements, each element here lies between two honest ones. Weights do not count, because a client could
 * claim any.
 *
 * Source: El Mhamdi, Guerraoui, Rouault 2018, "The hidden vulnerability of distributed learning in Byzantium". Variant:
 * of several sets of values that are equally near, the one with the least values is taken.
 */
import { Program } from "../../../kernels/compiler/compile.ts";
import { meanOfRanks, scratchBytes } from "../../../kernels/routines/order.ts";
import { aggregator, type ContributionList, orderWork, pairsWork } from "./aggregator.ts";
import { bestOf, byzantine, distancesOf } from "./krum_scores.ts";

export const bulyan = aggregator({
  class_name: "Bulyan",
  summary: "Averages, element by element, the middle values of what Krum chooses.",
  fields: { byzantine: byzantine("f of at least 4f + 3") },
  rule: ({ byzantine }) => ({
    kind: "list",
    contributionsMin: 4 * byzantine + 3,
    work: (contributions) => pairsWork(contributions) + orderWork(contributions),
    combine(list) {
      const used = chosen(list, byzantine);
      fillWithMiddle(list, used, byzantine);
      return { used };
    },
  }),
});

/** Krum's choice, and again among the rest, in accepted order. */
function chosen(list: ContributionList, byzantine: number): number[] {
  const distances = distancesOf(list);
  const left = new Set(list.weights.keys());
  const found: number[] = [];
  for (let count = list.weights.length - 2 * byzantine; count > 0; count--) {
    const [best] = bestOf(distances, [...left], byzantine);
    if (!best) break;
    found.push(best.place);
    left.delete(best.place);
  }
  return found.sort((a, b) => a - b);
}

/** Takes the mean of the next window if the value that it gains is nearer to the median than the one it loses. */
const next = new Program(["z = where(gained - middle < middle - lost, mean, z)"], {
  tensors: ["z", "mean", "lost", "gained", "middle"],
  stored: ["z"],
  uniforms: [],
}).kernel();

/** This many elements are computed at a time, so that the scratch stays small. */
const CHUNK = 1 << 14;

/** The values nearest to the median are neighbours in their order: a window that moves on while it gets nearer. */
function fillWithMiddle(list: ContributionList, places: readonly number[], byzantine: number): void {
  const { arena, runner, variables, allocate } = list;
  const { length } = places, size = length - 2 * byzantine;
  const scratch = allocate(scratchBytes(length));
  const [mean = 0, lost = 0, gained = 0, middle = 0] = Array.from({ length: 4 }, () => allocate(4 * CHUNK));
  for (const { count: all, offsets, result } of variables) {
    for (let start = 0; start < all; start += CHUNK) {
      const count = Math.min(CHUNK, all - start);
      const inputs = places.map((place) => (offsets[place] as number) + 4 * start);
      const z = result + 4 * start;
      const ranks = (result: number, from: number, to: number) =>
        meanOfRanks(arena, { inputs, result, count, scratch, from, to });
      ranks(z, 0, size);
      ranks(middle, Math.ceil(length / 2) - 1, Math.floor(length / 2) + 1);
      for (let from = 1; from + size <= length; from++) {
        ranks(mean, from, from + size);
        ranks(lost, from - 1, from);
        ranks(gained, from + size - 1, from + size);
        const tensors = { z, mean, lost, gained, middle };
        runner(arena, { kernel: next, tensors, rowCount: 1, rowLength: count, uniforms: {} });
      }
    }
  }
}
