/** Aggregators that compare contributions: whole ones by default, variable by variable in a partial run. */
import assert from "node:assert/strict";
import { aggregators } from "../../../src/families/aggregators/mod.ts";
import type { AggregationSpec } from "../../../src/run/api/run_spec.ts";
import { contribute, open, refusal, stateOf, step, variablesOf } from "../support/harness.ts";
import { MEMBERS } from "../../families/support/members.ts";
import { newWorld, request } from "../support/stored.ts";

const HOLDING: readonly (readonly [string, object, number])[] = [
  ["Median", {}, 3],
  ["TrimmedMean", {}, 3],
  ["GeometricMedian", {}, 3],
  ["Krum", { byzantine: 0 }, 3],
  ["MultiKrum", { byzantine: 0 }, 3],
  ["Bulyan", { byzantine: 0 }, 3],
];

Deno.test("all aggregators that hold contributions are here", () => {
  const holding = aggregators.members.filter((member) => {
    const { given } = MEMBERS.find((each) => each.member === member) as typeof MEMBERS[number];
    return member.rule(aggregators.resolve({ class_name: member.class_name, config: given }).config).kind ===
      "list";
  });
  assert.deepEqual(HOLDING.map(([name]) => name).sort(), holding.map(({ class_name }) => class_name).sort());
});

const specOf = (
  [class_name, config, quorum]: typeof HOLDING[number],
  more: Partial<AggregationSpec> = {},
) => ({
  optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
  variables: [
    { name: "base", shape: [2] },
    { name: "head", shape: [1] },
    { name: "mean", shape: [1], role: "average" as const },
  ],
  aggregation: { mode: "round" as const, quorum, aggregator: { class_name, config }, ...more },
});

const WHOLE = { base: [-1, -2], head: [-3], mean: [4] };
const { head: _, ...HEADLESS } = WHOLE;

for (const member of HOLDING) {
  Deno.test(`${member[0]}: a first contribution fixes nothing, and an incomplete one is refused`, async () => {
    const session = await open(specOf(member));
    for (
      const odd of [HEADLESS, { base: WHOLE.base }, { head: WHOLE.head, mean: [4] }, { ...WHOLE, head: null }]
    ) {
      const before = [stateOf(session), session.round()];
      const { code, issues } = refusal(() => contribute(session, odd));
      assert.equal(code, "invalid_request");
      assert.match(issues[0]?.path ?? "", /^gradients\./);
      assert.deepEqual([stateOf(session), session.round()], before);
    }
    contribute(session, WHOLE);
    contribute(session, WHOLE);
    assert.equal(step(session, WHOLE).applied, true);
    assert.deepEqual(variablesOf(session), { base: [1, 2], head: [3], mean: [4] });
  });

  Deno.test(`${member[0]}: a partial run combines each variable from those that have it`, async () => {
    await using world = await newWorld();
    await world.registry.create({ id: "run", ...specOf(member, { partial: true, quorum: 4 }) });
    const send = (gradients: unknown) => request(world.registry, "run", (run) => contribute(run, gradients));
    for (const each of [HEADLESS, WHOLE, WHOLE]) await send(each);
    const answer = await send(WHOLE);
    assert.deepEqual(answer.warnings, []);
    const all = () => request(world.registry, "run", (run) => [variablesOf(run), run.describe().aggregation]);
    const after = await all();
    assert.deepEqual(after[0], { base: [1, 2], head: [3], mean: [4] });
    await world.restart();
    assert.deepEqual(await all(), after);
  });
}

Deno.test("a variable that too few contributions have stays, with a warning", async () => {
  const session = await open(specOf(["Krum", { byzantine: 0 }, 3], { partial: true }));
  contribute(session, WHOLE);
  contribute(session, HEADLESS);
  const { applied, warnings } = step(session, WHOLE);
  assert.equal(applied, true);
  assert.deepEqual(warnings, ["Krum needs 3 contributions with head and has 2: it stays"]);
  assert.deepEqual(variablesOf(session), { base: [1, 2], head: [0], mean: [4] });
});

Deno.test("a sum takes any variables and has no setting for it", async () => {
  const { code } = await open(specOf(["Mean", {}, 1], { partial: true })).then(
    () => assert.fail("created"),
    (error) => error,
  );
  assert.equal(code, "invalid_request");
  const session = await open(specOf(["Mean", {}, 2]));
  contribute(session, HEADLESS);
  assert.equal(step(session, WHOLE).applied, true);
});

Deno.test("a round of an earlier version, whose first contribution left a variable out, is replayed", async () => {
  await using world = await newWorld();
  await world.registry.create({ id: "run", ...specOf(["Median", {}, 3]) });
  await request(world.registry, "run", (run) => {
    for (let n = 0; n < 3; n++) contribute(run, HEADLESS, { isRecorded: true });
  });
  const all = () => request(world.registry, "run", (run) => [run.iterations, variablesOf(run)]);
  const after = await all();
  assert.deepEqual(after, [1, { base: [1, 2], head: [0], mean: [4] }]);
  await world.restart();
  assert.deepEqual(await all(), after);
});

Deno.test("MultiKrum below 2f + 3 is created with a warning, as long as a neighbour is left", async () => {
  const session = await open(specOf(["MultiKrum", { byzantine: 2 }, 5]));
  assert.match(session.describe().warnings[0] ?? "", /^MultiKrum .* that needs 7$/);
  assert.deepEqual((await open(specOf(["MultiKrum", { byzantine: 2 }, 7]))).describe().warnings, []);
  await assert.rejects(open(specOf(["MultiKrum", { byzantine: 2 }, 4])));
  await assert.rejects(open(specOf(["Krum", { byzantine: 2 }, 6])));
});

Deno.test("rounds of MultiKrum that an earlier version closed are replayed without weights", async () => {
  await using world = await newWorld();
  const spec = specOf(["MultiKrum", { byzantine: 0, selected: 2 }, 5]);
  await world.registry.create({ id: "run", ...spec });
  const give = (x: number, weight: number) =>
    request(world.registry, "run", (run) => {
      const answer = contribute(run, { base: [x, x], head: [x], mean: [0] }, { weight });
      return answer;
    });
  const headOf = () => request(world.registry, "run", (run) => variablesOf(run)["head"]);
  for (const [x, weight] of [[1, 1], [4, 2], [90, 1], [-90, 1]] as const) await give(x, weight);
  // The fifth closes the round: (1·1 + 4·2) / 3.
  await give(500, 1);
  assert.deepEqual(await headOf(), [-3]);
  await world.restart();
  assert.deepEqual(await headOf(), [-3]);

  await world.registry.create({
    ...spec,
    id: "old",
    aggregation: { ...spec.aggregation, quorum: 6, minimum: 5 },
  });
  const oldHead = () => request(world.registry, "old", (run) => variablesOf(run)["head"]);
  await request(world.registry, "old", (run) => {
    for (const [x, weight] of [[1, 1], [4, 2], [90, 1], [-90, 1], [500, 1]] as const) {
      contribute(run, { base: [x, x], head: [x], mean: [0] }, { weight });
    }
    run.endRound({ reason: "deadline", applied: true });
  });
  assert.deepEqual(await oldHead(), [-2.5]);
  await world.restart();
  assert.deepEqual(await oldHead(), [-2.5]);
});
