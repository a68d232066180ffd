/**
 * The single contribution with the least sum of squared distances to its n − f − 2 nearest neighbours. Weights do not
 * count, because a client could claim any.
 *
 * Up to f of n ≥ 2f + 3 contributions may be arbitrary: the chosen one is as near to n − f − 2 others as an honest
 * one.
 *
 * Source: Blanchard, El Mhamdi, Guerraoui, Stainer 2017, "Machine learning with adversaries: Byzantine tolerant
 * gradient descent". Variant: distances are over all variables of a contribution together.
 */
import { aggregator, pairsWork } from "./aggregator.ts";
import { byzantine, scored, warningsOf } from "./krum_scores.ts";

export const krum = aggregator({
  class_name: "Krum",
  summary: "Takes the contribution that is nearest to its neighbours.",
  fields: { byzantine: byzantine() },
  rule: ({ byzantine }) => ({
    kind: "list",
    work: pairsWork,
    contributionsMin: 2 * byzantine + 3,
    combine(list) {
      const chosen = scored(list, byzantine).slice(0, 1);
      const used = chosen.map(({ place }) => place);
      for (const { count, offsets, result } of list.variables) {
        for (const place of used) {
          list.arena.f32(result, count).set(list.arena.f32(offsets[place] as number, count));
        }
      }
      return { ...warningsOf(chosen), used };
    },
  }),
});
