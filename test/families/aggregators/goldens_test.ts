/** The list aggregators against numpy and Flower on the same inputs: test/golden/make_aggregators.py. */
import assert from "node:assert/strict";
import { aggregators } from "../../../src/families/aggregators/mod.ts";
import { sameBits } from "../../kernels/support/special.ts";
import { type Bound, decode, readGolden } from "../support/goldens.ts";
import { combined } from "./support/combine_list.ts";

type Tensors = Readonly<Record<string, string>>;

interface Case {
  readonly name: string;
  readonly aggregator: { readonly class_name: string; readonly config: Record<string, unknown> };
  readonly contributions: readonly Tensors[];
  readonly weights?: readonly number[];
  readonly expected: Tensors;
  readonly bound: Bound;
}

const { cases } = readGolden<{ cases: Case[] }>("aggregators/robust.json");

const decodeAll = (tensors: Tensors) => Object.values(tensors).map(decode);

for (const { name, aggregator: { class_name, config }, contributions, weights, expected, bound } of cases) {
  Deno.test(`combine() gives the reference's values when it is ${name}`, () => {
    const round = { contributions: contributions.map(decodeAll), ...weights && { weights } };
    const { values } = combined(class_name, config, round);
    decodeAll(expected).forEach((wanted, variable) => {
      const found = values[variable] as Float32Array;
      if (bound.relative === undefined) {
        assert.equal(sameBits(found, wanted), undefined);
        return;
      }
      const allowed = bound.relative * Math.max(...wanted.map(Math.abs));
      wanted.forEach((value, at) => {
        const off = Math.abs((found[at] as number) - value);
        assert(off <= allowed, `[${at}] is ${found[at]}, must be ${value}: ${off} off`);
      });
    });
  });
}

/** bulyan_test.ts computes Bulyan from the paper. */
Deno.test("every other list aggregator has goldens", () => {
  const listing = aggregators.members.map(({ class_name }) => class_name)
    .filter((name) => !/^(Sum|Mean|WeightedMean|NormBoundedMean|QFedAvg|Bulyan|Formula)$/.test(name));
  assert.deepEqual(new Set(cases.map(({ aggregator }) => aggregator.class_name)), new Set(listing));
});
