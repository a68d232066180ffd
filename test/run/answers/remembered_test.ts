/** The latest steps outlive the process, as far as they fit into a snapshot. */
import assert from "node:assert/strict";
import { step } from "../support/harness.ts";
import { GRADIENT, newWorld, request, SMALL } from "../support/stored.ts";

Deno.test("steps() are the same after a restart, from the snapshot, from the journal and from both", async () => {
  await using world = await newWorld({ journalBytesMax: 0 });
  await world.registry.create({ ...SMALL, non_finite: "propagate" });
  const act = (gradient: unknown) =>
    request(world.registry, "small", (session) => step(session, { w: gradient }, { aggregate: true }));
  for (let round = 0; round < 3; round++) {
    for (const gradient of [GRADIENT.w, [round, "NaN", 1], [1, "Infinity", "-Infinity"]]) await act(gradient);
    const before = world.registry.get("small").steps(100);
    assert.equal(before.length, 3 + 3 * round);
    if (round === 1) await world.registry.sweep({ idleMs: 1e9 });
    await world.restart();
    assert.deepEqual(world.registry.get("small").steps(100), before);
  }
  assert.deepEqual(world.registry.get("small").steps(1).map(({ gradient_norm }) => gradient_norm), [
    Infinity,
  ]);
});

Deno.test("steps() keeps only the latest when a snapshot has no room for more", async () => {
  await using world = await newWorld();
  const names = Array.from({ length: 300 }, (_, n) => `variable-${n}`);
  await world.registry.create({ ...SMALL, variables: names.map((name) => ({ name, shape: [1] })) });
  const gradients = Object.fromEntries(names.map((name) => [name, [1]]));
  for (let n = 0; n < 20; n++) {
    await request(world.registry, "small", (session) => step(session, gradients));
  }
  const before = world.registry.get("small").steps(100);
  await world.registry.shutdown();
  await world.restart();
  const after = world.registry.get("small").steps(100);
  assert.ok(after.length >= 2 && after.length < 20, `${after.length}`);
  assert.deepEqual(after, before.slice(0, after.length));
});
