/** The last count of iterations: what can be set can be read back, and no step goes beyond it. */
import assert from "node:assert/strict";
import { contribute, open, refusal, send, stateOf, step } from "../support/harness.ts";
import { newWorld, request } from "../support/stored.ts";

const LAST = Number.MAX_SAFE_INTEGER;
const SPEC = {
  optimizer: { class_name: "Adam", config: { learning_rate: 0.5 } },
  variables: [{ name: "w", shape: [2] }],
};

/** A run's weights with another count of iterations. */
const weightsAt = (iterations: unknown) => [iterations, [0, 0], [0, 0]];

Deno.test("steps end at 2^53 - 1, which weights and checkpoints can hold", async () => {
  await using world = await newWorld();
  await world.registry.create({ id: "run", ...SPEC });
  await request(world.registry, "run", (run) => run.setWeights(weightsAt(LAST - 1)));
  assert.equal((await request(world.registry, "run", (run) => step(run, { w: [1, 1] }))).iterations, LAST);
  const refused = () =>
    request(world.registry, "run", (run) => {
      const before = stateOf(run);
      for (const options of [{}, { dryRun: true }, { aggregate: false }]) {
        assert.equal(refusal(() => send(run, { w: [1, 1] }, options)).code, "iterations_exhausted");
      }
      assert.deepEqual(stateOf(run), before);
    });
  await refused();
  await world.restart();
  await refused();
  await request(world.registry, "run", (run) => {
    const { iterations, tensors } = run.weights();
    run.setWeights([iterations, ...tensors]);
    assert.equal(run.iterations, LAST);
    run.setWeights(weightsAt(3));
    assert.equal(step(run, { w: [1, 1] }).iterations, 4);
  });
});

Deno.test("counts that cannot be told from their neighbours are refused", async () => {
  const session = await open(SPEC);
  step(session, { w: [1, 1] });
  for (const count of [2 ** 53, 2 ** 53 + 2, -1, 0.5, 1e39, "Infinity", "NaN"]) {
    assert.match(
      refusal(() => session.setWeights(weightsAt(count))).code,
      /^invalid_(weights|number)$/,
      `${count}`,
    );
  }
});

Deno.test("a round takes no contribution at the last iteration, and waits if it became complete before", async () => {
  const session = await open({ ...SPEC, aggregation: { mode: "round", quorum: 2 } });
  contribute(session, { w: [1, 1] });
  session.setWeights(weightsAt(LAST));
  assert.equal(refusal(() => contribute(session, { w: [1, 1] })).code, "iterations_exhausted");
  assert.equal(session.round().accepted, 1);
  session.setWeights(weightsAt(0));
  assert.equal(step(session, { w: [1, 1] }).iterations, 1);
});
