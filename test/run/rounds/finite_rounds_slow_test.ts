/**
 * Whatever finite numbers clients send to whatever aggregator: a run that rejects or skips what is not finite keeps
 * finite numbers. The rule itself cannot overflow here, because its learning rate is small.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { StepwellError } from "../../../src/errors.ts";
import type { AggregationSpec } from "../../../src/run/api/run_spec.ts";
import { MEMBERS } from "../../families/support/members.ts";
import { newRegistry, send, slotsOf, variablesOf } from "../support/harness.ts";

const AGGREGATORS = MEMBERS.filter(({ folder }) => folder === "aggregators")
  .map(({ member, given }) => ({ class_name: member.class_name, config: given }));

const mostly = <T>(usual: readonly T[], rare: readonly T[]) =>
  fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...usual) }, {
    weight: 1,
    arbitrary: fc.constantFrom(...rare),
  });
const extreme = mostly(
  [0, -0, 1, -1, 1e-45, 1e-38, 1e10, 1e18],
  [1e20, -1e30, 1e38, -1e38, 2e38, 3e38, -3e38, 3.4e38],
);
const weight = mostly([undefined, 1, 1.2e-38, 1e3], [1e20, 1e38, 3e38]);

const contribution = fc.record({
  w: fc.array(extreme, { minLength: 3, maxLength: 3 }),
  mean: extreme,
  weight,
  loss: mostly([0, 1], [1e20, 3e38]),
  rows: mostly<readonly number[] | null>([null], [[0, 0], [1, 2], [2, 2, 2]]),
});

const aggregation: fc.Arbitrary<AggregationSpec> = fc.record({
  mode: fc.constantFrom("round" as const, "buffer" as const, "immediate" as const),
  aggregator: fc.constantFrom(...AGGREGATORS),
  payload: fc.constantFrom("gradient" as const, "delta" as const, "weights" as const),
  client_clipnorm: fc.constantFrom(null, 1, 3e38, {
    class_name: "AdaptiveQuantile",
    config: { learning_rate: 80 },
  }),
  noise: fc.constantFrom(null, null, { stddev: 3e38, seed: 1 }, { stddev: 1, seed: 1 }, {
    multiplier: 3e38,
    seed: 1,
  }),
  staleness_weighting: fc.constantFrom("Constant", "Polynomial"),
}).map(({ mode, ...more }) => ({
  ...more,
  mode,
  ...mode === "round" && { quorum: 7 },
  ...mode === "buffer" && { buffer_size: 7 },
}));

Deno.test("every aggregator keeps runs finite, or refuses, skips or drops what would not be", async () => {
  const applied = new Map<string, number>();
  let refused = 0, dropped = 0;
  const law = async (
    spec: AggregationSpec,
    non_finite: "reject" | "skip",
    start: number,
    given: readonly (typeof contribution extends fc.Arbitrary<infer C> ? C : never)[],
  ) => {
    const registry = newRegistry();
    let session;
    try {
      session = await registry.create({
        optimizer: { class_name: "SGD", config: { learning_rate: 1e-6, momentum: 0.5 } },
        variables: [
          { name: "w", shape: [3], initial: start },
          { name: "mean", shape: [], role: "average" },
        ],
        aggregation: spec,
        non_finite,
      });
    } catch (error) {
      // Not every mode, noise and aggregator go together.
      if (error instanceof StepwellError && error.code === "invalid_request") return;
      throw error;
    }
    for (const { w, mean, weight, loss, rows } of given) {
      const gradient = rows ? { indices: rows, values: rows.map((_, n) => w[n]) } : w;
      const before = session.iterations;
      try {
        const answer = send(session, { w: gradient, mean }, { weight, loss });
        if (answer.warnings.some((text) => text.includes("was dropped"))) dropped += 1;
      } catch (error) {
        assert.ok(error instanceof StepwellError, String(error));
        refused += 1;
      }
      const { class_name } = spec.aggregator as { class_name: string };
      applied.set(class_name, (applied.get(class_name) ?? 0) + session.iterations - before);
      const numbers = [variablesOf(session), ...Object.values(slotsOf(session))].flatMap(Object.values)
        .flat();
      assert.ok(numbers.every(Number.isFinite), `${numbers}`);
    }
  };
  await fc.assert(
    fc.asyncProperty(
      aggregation,
      fc.constantFrom("reject" as const, "skip" as const),
      fc.constantFrom(0, 1, 1e38, -3e38),
      fc.array(contribution, { minLength: 8, maxLength: 30 }),
      law,
    ),
    { numRuns: 1500, seed: 29 },
  );
  assert.deepEqual([...applied.keys()].sort(), AGGREGATORS.map(({ class_name }) => class_name).sort());
  for (const [name, steps] of applied) assert.ok(steps > 0, `${name} made no step`);
  assert.ok(refused > 100 && dropped > 20, `${refused} refused, ${dropped} dropped`);
});
