/** Dry runs answer in the form, and with the figures, that the request would get, and change nothing. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { AggregationSpec } from "../../../src/run/api/run_spec.ts";
import { stateOf } from "../support/harness.ts";
import { give, measured, partial, roundSpec, whole } from "./support/contributions.ts";

const SUMS: readonly unknown[] = ["Sum", "Mean", "WeightedMean", {
  class_name: "NormBoundedMean",
  config: { norm_bound: 1 },
}];
const LISTS: readonly unknown[] = [
  "Median",
  "TrimmedMean",
  { class_name: "Krum", config: { byzantine: 0 } },
  "GeometricMedian",
];

const mode = fc.constantFrom<AggregationSpec>(
  { mode: "immediate" },
  { mode: "immediate", max_staleness: 3, client_clipnorm: 1 },
  { mode: "round", quorum: 1 },
  { mode: "round", quorum: 3 },
  { mode: "buffer", buffer_size: 4 },
);
const payload = fc.constantFrom("gradient", "delta", "weights");

/** Checks one dry run against the request itself. */
function compare(
  session: Parameters<typeof give>[0],
  drawn: Parameters<typeof give>[1],
  { used, client }: { used: () => number; client: string },
): void {
  const options = { clientId: client, loss: 0.5 };
  const before = [stateOf(session), session.round()], bytes = used();
  const dry = give(session, drawn, { ...options, dryRun: true });
  assert.deepEqual([stateOf(session), session.round()], before);
  // A sum may have added up what waited to be added.
  assert.ok(used() <= bytes);
  const real = give(session, drawn, options);
  // Which keys there are, and all figures but those of what was done.
  assert.deepEqual(Object.keys(dry).sort(), Object.keys(real).sort());
  const done = {
    applied: 0,
    accepted: 0,
    iterations: 0,
    version: 0,
    contributions: 0,
    missing: 0,
    deadline: 0,
  };
  assert.deepEqual({ ...dry, ...done }, { ...real, ...done });
  assert.equal(dry.applied, false);
}

Deno.test("a dry run of any contribution to any round is answered as the contribution would be", async () => {
  const aggregation = fc.oneof(
    fc.tuple(mode, fc.constantFrom(...SUMS), payload, fc.array(partial, { minLength: 5, maxLength: 8 })),
    fc.tuple(
      fc.constant<AggregationSpec>({ mode: "round", quorum: 4 }),
      fc.constantFrom(...LISTS),
      payload,
      fc.array(whole, { minLength: 5, maxLength: 9 }),
    ),
  );
  const noise = fc.constantFrom(null, { stddev: 0.5, seed: 3 });
  await fc.assert(
    fc.asyncProperty(
      aggregation,
      noise,
      fc.boolean(),
      async ([mode, aggregator, payload, all], noise, hasAverage) => {
        const isList = LISTS.includes(aggregator);
        const isDense = all.every(({ forms }) => !forms.includes("sparse"));
        const given = {
          ...mode,
          aggregator,
          payload: payload as "gradient",
          noise: isList || !isDense ? null : noise,
        };
        const spec = roundSpec(given);
        const variables = spec.variables.map((variable) =>
          hasAverage && variable.name === "c" ? { ...variable, role: "average" as const } : variable
        );
        const { session, used } = await measured({ ...spec, variables });
        all.forEach((drawn, n) => compare(session, drawn, { used, client: `client-${n}` }));
      },
    ),
    { numRuns: 150 },
  );
});

Deno.test("a dry run of a contribution that is skipped is answered as the contribution would be", async () => {
  for (
    const aggregation of [{ mode: "round", quorum: 1 }, { mode: "immediate", max_staleness: 1 }] as const
  ) {
    const { session, used } = await measured(roundSpec(aggregation, { non_finite: "skip" }));
    const options = { aggregate: true, clientId: "a" };
    const gradients = { a: Array(6).fill([NaN, 1]), b: null };
    const bytes = used();
    const answers = [true, false].map((dryRun) => {
      using staging = session.stage("gradients");
      const sink = staging.dense("a", { dtype: "F32", shape: [6, 2] });
      sink.write(new Uint8Array(Float32Array.from(gradients.a.flat()).buffer));
      sink.close();
      staging.none("b");
      return session.applyGradients(staging, { ...options, dryRun });
    });
    assert.deepEqual(answers[0], answers[1]);
    assert.equal(used(), bytes);
  }
});
