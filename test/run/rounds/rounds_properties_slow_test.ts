/** Laws of rounds: what order does, what never touches a round, what a withdrawal leaves. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { StepwellError } from "../../../src/errors.ts";
import type { AggregationSpec } from "../../../src/run/api/run_spec.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { tensorFileReader } from "../../../src/wire/tensor_file.ts";
import {
  type Drawn,
  fileOf,
  give,
  measured,
  partial,
  roundSpec,
  SHAPES,
  tensorsOf,
  whole,
} from "./support/contributions.ts";
import { open, stateOf, variablesOf } from "../support/harness.ts";
import { type Aggregation, combined, prepared, type Weighted } from "../simulation/arithmetic.ts";
import { newWorld } from "../support/stored.ts";
import { sizeOf } from "../support/variants.ts";

type Of<A> = A extends fc.Arbitrary<infer Drawn> ? Drawn : never;

const AGGREGATORS = {
  summing: [
    { class_name: "Sum" },
    { class_name: "Mean" },
    { class_name: "WeightedMean" },
    { class_name: "NormBoundedMean", config: { norm_bound: 2 } },
  ],
  holding: [
    { class_name: "Median" },
    { class_name: "TrimmedMean", config: { trim_ratio: 0.2 } },
    { class_name: "Krum", config: { byzantine: 1 } },
    { class_name: "MultiKrum", config: { byzantine: 1 } },
  ],
} as const;
const ALL = [...AGGREGATORS.summing, ...AGGREGATORS.holding];
const FREE = AGGREGATORS.holding.filter(({ class_name }) => class_name !== "MultiKrum");

const round = (quorum: number, aggregation: Partial<AggregationSpec>): AggregationSpec => ({
  mode: "round",
  quorum,
  ...aggregation,
});

/** What a round of all of them makes of the variables. */
async function together(all: readonly Drawn[], aggregation: Partial<AggregationSpec>) {
  const session = await open(roundSpec(round(all.length, aggregation)));
  for (const each of all) give(session, each);
  assert.equal(session.iterations, 1);
  return variablesOf(session);
}

function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  return items.map((item, n) => ({ item, order: (seed * (n + 1) * 7919) % 10_007 }))
    .sort((a, b) => a.order - b.order).map(({ item }) => item);
}

const several = fc.array(whole, { minLength: 5, maxLength: 9 });

Deno.test("ranks and Krum's choice do not depend on the order in which contributions come", async () => {
  const law = async (aggregator: typeof FREE[number], all: readonly Drawn[], seed: number) =>
    assert.deepEqual(
      await together(shuffled(all, seed), { aggregator }),
      await together(all, { aggregator }),
    );
  await fc.assert(fc.asyncProperty(fc.constantFrom(...FREE), several, fc.nat(), law), { numRuns: 40 });
});

Deno.test("sums of numbers that lose no bits do not depend on the order in which contributions come", async () => {
  const few = fc.record({ weight: fc.constantFrom(1, 2, 4), value: fc.integer({ min: -64, max: 64 }) });
  const law = async (
    aggregator: { class_name: string },
    all: { weight: number; value: number }[],
    seed: number,
  ) => {
    const made = await Promise.all([all, shuffled(all, seed)].map(async (order) => {
      const session = await open({
        ...roundSpec(round(all.length, { aggregator, payload: "delta" })),
        variables: [{ name: "w", shape: [3, 1] }],
      });
      for (const { weight, value } of order) {
        const staging = session.stage("gradients");
        const isSparse = value % 2 === 0;
        const given = { name: "w", values: isSparse ? [value] : [value, 3 * value, value / 8] };
        const reader = tensorFileReader(staging);
        reader.write(
          fileOf([
            isSparse ? { ...given, shape: [1, 1], indices: [(value + 64) % 3] } : { ...given, shape: [3, 1] },
          ]),
        );
        reader.close();
        session.applyGradients(staging, { aggregate: true, dryRun: false, weight });
        staging.release();
      }
      return variablesOf(session);
    }));
    assert.deepEqual(made[0], made[1]);
  };
  const aggregators = fc.constantFrom(...AGGREGATORS.summing.slice(0, 3));
  await fc.assert(
    fc.asyncProperty(aggregators, fc.array(few, { minLength: 2, maxLength: 8 }), fc.nat(), law),
    {
      numRuns: 60,
    },
  );
});

/** A run at 0.5 after one step of rate 1, by the definition in the accepted order. */
function defined(all: readonly Drawn[], rules: Aggregation): Record<string, number[]> {
  const variables = Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape]) => [
      name,
      { shape, w: Array<number>(sizeOf(shape)).fill(0.5) },
    ]),
  );
  const contributions = all.map((each): Weighted => ({
    ...prepared(rules, tensorsOf(each), { variables, averages: new Set(), staleness: 0 }),
    weight: each.weight,
  }));
  for (const { name, values, indices } of combined(rules, contributions)) {
    const { w } = variables[name] as { w: number[] };
    const width = indices ? values.length / indices.length : 1;
    values.forEach((g, n) => {
      const at = indices ? (indices[Math.floor(n / width)] as number) * width + n % width : n;
      w[at] = Math.fround((w[at] as number) - g);
    });
  }
  return Object.fromEntries(Object.entries(variables).map(([name, { w }]) => [name, w]));
}

const rules = fc.record({
  payload: fc.constantFrom("gradient" as const, "delta" as const, "weights" as const),
  client_clipnorm: fc.constantFrom(null, 1.5),
});

Deno.test("a step is what the contributions are together in the order in which they were accepted", async () => {
  const law = async (
    aggregator: typeof ALL[number],
    given: Of<typeof rules>,
    all: Drawn[],
  ) => {
    const aggregation = { aggregator, ...given };
    const wanted = defined(all, { ...aggregation, staleness_weighting: { class_name: "Constant" } });
    assert.deepEqual(await together(all, aggregation), wanted);
  };
  const cases = fc.oneof(
    fc.tuple(fc.constantFrom(...ALL), rules, several),
    fc.tuple(
      fc.constantFrom(...AGGREGATORS.summing),
      rules,
      fc.array(partial, { minLength: 1, maxLength: 9 }),
    ),
  );
  await fc.assert(fc.asyncProperty(cases, ([aggregator, given, all]) => law(aggregator, given, all)), {
    numRuns: 100,
  });
});

/** Bodies that come to nothing: bytes until the line breaks, and what is wrong with them. */
const nothing = fc.record({
  drawn: partial,
  wrong: fc.constantFrom("nothing", "name", "shape", "number", "infinite", "row", "twice"),
  /** Of the body; above 1 all of it comes. */
  cut: fc.double({ min: 0, max: 1.3, noNaN: true }),
  /** How many good ones come while it is on its way. */
  lasts: fc.nat({ max: 3 }),
});

function wrongFile({ drawn, wrong }: { drawn: Drawn; wrong: string }): Uint8Array {
  const [first, ...others] = tensorsOf(drawn);
  assert.ok(first);
  const values = [...first.values];
  if (wrong === "number" || wrong === "infinite") {
    values[values.length >> 1] = wrong === "number" ? NaN : -Infinity;
  }
  if (wrong === "name") return fileOf([...others, { ...first, name: "z" }]);
  if (wrong === "shape") return fileOf([...others, { ...first, shape: [values.length] }]);
  const row = { name: "b", shape: [2], values: [1, 2], indices: [0, SHAPES["b"]?.[0] as number] };
  if (wrong === "row") return fileOf([first, row]);
  return fileOf([{ ...first, values }, ...others]);
}

/** Sends the bytes in two parts, `meanwhile` in between; whether it was taken. */
function trickle(
  session: Session,
  bytes: Uint8Array,
  { end, meanwhile }: { end: number; meanwhile: () => void },
): boolean {
  const staging = session.stage("gradients");
  try {
    const reader = tensorFileReader(staging);
    reader.write(bytes.subarray(0, end >> 1));
    meanwhile();
    reader.write(bytes.subarray(end >> 1, end));
    if (end < bytes.length) return false;
    reader.close();
    session.applyGradients(staging, { aggregate: true, dryRun: false, clientId: "only one" });
    return true;
  } catch (error) {
    if (!(error instanceof StepwellError)) throw error;
    return false;
  } finally {
    staging.release();
  }
}

Deno.test("bodies that break off or are refused leave no bit in a round", async () => {
  const law = async (
    aggregator: typeof ALL[number],
    good: Drawn[],
    bad: Of<typeof nothing>[],
  ) => {
    const aggregation = round(good.length + 1, { aggregator });
    const { session, used } = await measured(roundSpec(aggregation)), before = used();
    const twin = await open(roundSpec(aggregation));
    // Whoever comes later with the same name is refused for that.
    const first = { ...good[0] as Drawn };
    for (const each of [session, twin]) give(each, first, { clientId: "only one" });
    const waiting = [...good];
    for (const { drawn, wrong, cut, lasts } of bad) {
      const bytes = wrongFile({ drawn, wrong });
      const isTaken = trickle(session, bytes, {
        end: Math.min(bytes.length, Math.floor(cut * bytes.length)),
        meanwhile: () => {
          for (const each of waiting.splice(0, Math.min(lasts, waiting.length - 1))) give(session, each);
        },
      });
      assert.equal(isTaken, false);
    }
    for (const each of waiting) give(session, each);
    for (const each of good) give(twin, each);
    assert.equal(twin.iterations, 1);
    assert.deepEqual(stateOf(session), stateOf(twin));
    assert.equal(used(), before);
  };
  const cases = [fc.constantFrom(...ALL), several, fc.array(nothing, { maxLength: 6 })] as const;
  await fc.assert(fc.asyncProperty(...cases, law), { numRuns: 80 });
});

Deno.test("who withdraws has never contributed, whatever comes before and after", async () => {
  const comings = fc.array(fc.record({ drawn: whole, withdraws: fc.boolean(), again: fc.boolean() }), {
    minLength: 5,
    maxLength: 9,
  });
  const law = async (
    aggregator: typeof ALL[number],
    payload: "gradient" | "weights",
    all: Of<typeof comings>,
  ) => {
    await using world = await newWorld();
    const quorum = all.length + 1, aggregation = round(quorum, { aggregator, payload });
    const session = await world.registry.create(roundSpec(aggregation));
    all.forEach(({ drawn }, n) => give(session, drawn, { clientId: `${n}` }));
    const gone = all.flatMap(({ withdraws }, n) => withdraws ? [n] : []);
    for (const n of gone) session.withdraw(`${n}`);
    const anew = gone.filter((n) => all[n]?.again);
    const left = [...all.keys()].filter((n) => !gone.includes(n));
    const order = [...left, ...anew];
    const last = all[0]?.drawn as Drawn;
    for (const n of anew) give(session, all[n]?.drawn as Drawn, { clientId: `${n}` });
    while (session.iterations === 0) give(session, last);
    const twin = await open(roundSpec(aggregation));
    for (const n of order) give(twin, all[n]?.drawn as Drawn);
    while (twin.iterations === 0) give(twin, last);
    assert.deepEqual(variablesOf(session), variablesOf(twin));
  };
  const payload = fc.constantFrom("gradient" as const, "weights" as const);
  await fc.assert(fc.asyncProperty(fc.constantFrom(...ALL), payload, comings, law), { numRuns: 60 });
});
