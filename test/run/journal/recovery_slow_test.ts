/**
 * Runs come back from their files as if their process had never died: after any changes, with snapshots in between or
 * none, after a crash and after a power failure, for every optimizer.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { RunSpec } from "../../../src/run/api/run_spec.ts";
import { type Change, change, make } from "../support/changing.ts";
import { newRegistry } from "../support/harness.ts";
import { lasting, newWorld, type World } from "../support/stored.ts";
import { specOf, type Variant, VARIANTS } from "../support/variants.ts";

type Event =
  | { readonly do: "crash"; readonly power: boolean }
  | { readonly do: "snapshot" }
  | { readonly do: "evict" };

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ do: fc.constant("crash"), power: fc.boolean() }),
  fc.record({ do: fc.constant("snapshot") }),
  fc.record({ do: fc.constant("evict") }),
);

const history = fc.array(
  fc.oneof({ weight: 4, arbitrary: change as fc.Arbitrary<Change | Event> }, { weight: 1, arbitrary: event }),
  { minLength: 4, maxLength: 16 },
);

/** Everything is due: nothing is too short for a snapshot. */
const EAGER = { journalBytesMax: 0 };

async function happen(world: World, event: Event): Promise<void> {
  if (event.do === "snapshot") return await world.registry.sweep({ idleMs: 1e9 });
  if (event.do === "evict") {
    await world.registry.sweep({ idleMs: 0 });
    assert.equal(world.registry.figures().runsInMemory, 0);
    return;
  }
  await world.restart(event.power ? world.disk.powerCut({ keep: 0.5 }) : undefined);
}

async function assertRecovers(
  variant: Variant,
  spec: Partial<RunSpec>,
  history: readonly (Change | Event)[],
) {
  await using world = await newWorld(EAGER);
  const twin = newRegistry({ now: () => new Date(world.now) });
  for (const registry of [world.registry, twin]) {
    await registry.create({ ...specOf(variant, spec), id: "run" });
  }
  for (const each of history) {
    if (each.do === "crash" || each.do === "snapshot" || each.do === "evict") await happen(world, each);
    else {
      const lease = world.registry.lease("run");
      const answer = await make(world.registry, "run", each);
      assert.deepEqual(answer, await make(twin, "run", each));
      await lease.durable();
      lease.release();
    }
  }
  await world.restart();
  assert.deepEqual(lasting(world.registry.get("run")), lasting(twin.get("run")));
}

for (const variant of VARIANTS) {
  Deno.test(`recovered run equals a run that never died: ${variant.label}`, async () => {
    const property = fc.asyncProperty(
      history,
      fc.constantFrom("reject", "skip", "propagate"),
      (history, non_finite) => assertRecovers(variant, { non_finite }, history),
    );
    await fc.assert(property, { numRuns: 8 });
  });
}
