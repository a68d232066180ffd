/**
 * The mean of the contributions with the best Krum scores: `Σ g / m` over the m chosen, in accepted order. Weights do
 * not count, because a client could claim any.
 *
 * Source: Blanchard, El Mhamdi, Guerraoui, Stainer 2017, "Machine learning with adversaries: Byzantine tolerant
 * gradient descent", section 5. Variant: all are scored once, as in the paper and in Flower, not again after each
 * choice.
 */
import { z } from "zod";
import { aggregator, pairsWork } from "./aggregator.ts";
import { byzantine, scored, warningsOf } from "./krum_scores.ts";
import { fillWithSum } from "./weighted_sum.ts";

const SELECTED = "How many are averaged; null: all but byzantine + 2 of the round's contributions.";

export const multiKrum = aggregator({
  class_name: "MultiKrum",
  summary: "Averages the contributions that are nearest to their neighbours.",
  fields: { byzantine: byzantine(), selected: z.int().min(1).nullable().default(null).describe(SELECTED) },
  rule: ({ byzantine, selected }) => ({
    kind: "list",
    work: pairsWork,
    contributionsMin: Math.max(2 * byzantine + 3, (selected ?? 1) + byzantine + 2),
    combine(list) {
      const count = selected ?? list.weights.length - byzantine - 2;
      const chosen = scored(list, byzantine).slice(0, count);
      const used = chosen.map(({ place }) => place).sort((a, b) => a - b);
      fillWithSum(list, { terms: used.map((place) => ({ place, factor: 1 })), divisor: count });
      return { ...warningsOf(chosen), used };
    },
  }),
});
