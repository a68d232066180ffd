/** Slots that start as their variable: averages of weights, Lookahead, distances from where training began. */
import assert from "node:assert/strict";
import { readDefinition } from "../../../../src/families/optimizers/custom/custom_member.ts";
import {
  newRegistry,
  refusal,
  setVariables,
  slotsOf,
  step,
  variablesOf,
} from "../../../run/support/harness.ts";
import { lasting, newWorld, request } from "../../../run/support/stored.ts";

const AVERAGED = {
  class_name: "Averaged",
  hyperparameters: { learning_rate: { default: 1, schedule: true } },
  slots: { average: { initial: "w" } },
  dense: ["w = w - learning_rate * g", "average = 0.5 * average + 0.5 * w"],
};
const SPEC = {
  id: "run",
  optimizer: "Averaged",
  variables: [
    { name: "x", shape: [2], initial: [8, 16] },
    { name: "y", shape: [3, 1], initial: [[1], [2], [3]] },
  ],
};

Deno.test("a slot that starts as the variable copies it at its first gradient", async () => {
  const registry = newRegistry();
  await registry.optimizers.register(AVERAGED);
  const run = await registry.create(SPEC);
  setVariables(run, { x: [4, 2] });
  step(run, { x: [2, -2] });
  // Half of 4 and 2, half of 2 and 4; y has had no gradient, and Keras would not have made its slot.
  assert.deepEqual(slotsOf(run), { average: { x: [3, 3], y: [0, 0, 0] } });
  step(run, { y: { indices: [1, 1], values: [[1], [3]] } });
  // Rows that were not touched start as the variable too.
  assert.deepEqual(slotsOf(run), { average: { x: [3, 3], y: [1, 0, 3] } });
  assert.deepEqual(variablesOf(run), { x: [2, 4], y: [1, -2, 3] });
  step(run, { x: [0, 0], y: [[0], [0], [0]] });
  assert.deepEqual(slotsOf(run), { average: { x: [2.5, 3.5], y: [1, -1, 3] } });
});

Deno.test("a slot that starts as the variable is not changed by a dry run, and not started twice", async () => {
  const registry = newRegistry();
  await registry.optimizers.register(AVERAGED);
  const run = await registry.create(SPEC);
  step(run, { x: [1, 1] }, { dryRun: true });
  assert.deepEqual(slotsOf(run)["average"], { x: [0, 0], y: [0, 0, 0] });
  run.setWeights([5, [1, 2], [[3], [4], [5]]]);
  step(run, { x: [0, 0] });
  // Half of the value that was set, half of the variable.
  assert.deepEqual(slotsOf(run)["average"]?.["x"], [4.5, 9]);
});

Deno.test("a slot that started as the variable is the same after a restart and a replay", async () => {
  await using world = await newWorld();
  await world.registry.optimizers.register(AVERAGED);
  await world.registry.create(SPEC);
  await request(world.registry, "run", (run) => step(run, { x: [1, 2] }));
  const before = lasting(world.registry.get("run"));
  await world.restart();
  assert.deepEqual(lasting(world.registry.get("run")), before);
  await request(world.registry, "run", (run) => step(run, { y: { indices: [0], values: [[1]] } }));
  await request(world.registry, "run", (run) => step(run, { x: [1, 2] }));
  const after = lasting(world.registry.get("run"));
  await world.restart();
  assert.deepEqual(lasting(world.registry.get("run")), after);
  assert.deepEqual(slotsOf(world.registry.get("run")), { average: { x: [6.75, 13.5], y: [0.5, 2, 3] } });
});

Deno.test("a definition may read a slot that starts as the variable without setting it, and no other", () => {
  const definition = (initial: unknown) => ({
    class_name: "Near",
    slots: { first: { initial } },
    dense: ["w = w - 0.1 * g - 0.01 * (w - first)"],
  });
  assert.deepEqual(readDefinition(definition("w")).slots, { first: { initial: "w" } });
  assert.match(refusal(() => readDefinition(definition(0))).message, /slots.first is never assigned/);
  assert.match(
    refusal(() => readDefinition(definition("zeros"))).message,
    /slots.first.initial is "zeros", must be a number, or "w"/,
  );
});
