/**
 * The mean of the contributions with the best Krum scores, by their weights: `Σ weight·g / Σ weight` over the m chosen,
 * in accepted order. Weights do not decide which are chosen.
 *
 * Up to f of n ≥ 2f + 3 contributions may be arbitrary. A run with fewer is created with a warning, as long as each
 * contribution has a neighbour to be compared with.
 *
 * Source: Blanchard, El Mhamdi, Guerraoui, Stainer 2017, "Machine learning with adversaries: Byzantine tolerant
 * gradient descent", section 5. Variant: all are scored once, as in the paper and in Flower, not again after each
 * choice, and weighted as in Flower, which weights by examples. Edition 1 did not count weights.
 */
import { z } from "zod";
import { aggregator, type ContributionList, pairsWork } from "./aggregator.ts";
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
    contributionsMin: (selected ?? 1) + byzantine + 2,
    warn: (contributions) =>
      contributions >= 2 * byzantine + 3 ? [] : [
        `MultiKrum with byzantine ${byzantine} and rounds of ${contributions} contributions does not keep Krum's ` +
        `guarantee that hostile ones are left out: that needs ${2 * byzantine + 3}`,
      ],
    combine(list) {
      const count = selected ?? list.weights.length - byzantine - 2;
      const chosen = scored(list, byzantine).slice(0, count);
      const used = chosen.map(({ place }) => place).sort((a, b) => a - b);
      fillWithSum(list, weightedTerms(list, used));
      return { ...warningsOf(chosen), used };
    },
  }),
});

/** Weights relative to the largest: equal ones are 1, and their sum cannot overflow. */
function weightedTerms({ weights, edition }: ContributionList, used: readonly number[]) {
  const given = used.map((place) => edition === 1 ? 1 : weights[place] as number);
  const heaviest = Math.max(...given);
  const factors = given.map((weight) => Math.fround(weight / heaviest));
  return {
    terms: used.map((place, n) => ({ place, factor: factors[n] as number })),
    divisor: Math.fround(factors.reduce((sum, factor) => sum + factor, 0)),
  };
}
