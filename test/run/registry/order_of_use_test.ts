/** Runs leave memory in the order of their latest use, and neither that nor work on all runs holds others up. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { RunTable } from "../../../src/run/registry/run_table.ts";
import { newWorld, request, SMALL, type World } from "../support/stored.ts";

const MEBIBYTE = 2 ** 20;
const IDS = ["a", "b", "c", "d", "e"] as const;

/** Each has an arena of its own, so that memory for one is won by one eviction. */
const large = (id: string) => ({
  id,
  optimizer: "SGD",
  variables: [{ name: "w", shape: [2 * MEBIBYTE / 4] }],
});

const inMemory = ({ registry }: World, ids: readonly string[]) => ids.filter((id) => registry.present(id));

Deno.test("the run whose latest use is longest ago leaves memory first, even if the clock is set back", async () => {
  // No two uses are at the same time, nor at that of the creations.
  const use = fc.record({
    id: fc.constantFrom(...IDS),
    at: fc.integer({ min: -50, max: 50 }).filter((at) => at !== 0),
  });
  const uses = fc.uniqueArray(use, { maxLength: 12, selector: ({ at }) => at });
  await fc.assert(
    fc.asyncProperty(uses, async (uses) => {
      await using world = await newWorld({ memoryBytesMax: 11 * MEBIBYTE });
      let order: string[] = [...IDS];
      for (const id of IDS) await world.registry.create(large(id));
      for (const { id, at } of uses) {
        world.now = at;
        await request(world.registry, id, () => {});
        order = [...order.filter((other) => other !== id), id];
      }
      // Each creation needs the memory of one run.
      for (const [n, id] of order.slice(0, 3).entries()) {
        await world.registry.create(large(`new-${n}`));
        assert.deepEqual(inMemory(world, IDS), IDS.filter((other) => order.indexOf(other) > n), id);
      }
    }),
    { numRuns: 15 },
  );
});

Deno.test("room for a large run takes one look at each run, however many are evicted or cannot be", async () => {
  const count = 300;
  let looks = 0;
  const { byUse } = RunTable.prototype;
  RunTable.prototype.byUse = function () {
    const runs = byUse.call(this);
    return (function* () {
      for (const run of runs) {
        looks += 1;
        yield run;
      }
    })();
  };
  try {
    await using world = await newWorld({ memoryBytesMax: 8 * MEBIBYTE });
    const ids = Array.from({ length: count }, (_, n) => `run-${n}`);
    for (const id of ids) await world.registry.create({ ...SMALL, id });
    await world.registry.create(large("old"));
    await world.registry.create(large("new"));
    const leases = ids.filter((_, n) => n % 2 === 0).map((id) => world.registry.lease(id));
    await world.registry.create({ ...large("larger"), variables: [{ name: "w", shape: [MEBIBYTE] }] });
    for (const lease of leases) lease.release();
    // Those in use stay; the others left, in vain, before a large one gave its memory.
    assert.equal(inMemory(world, ids).length, count / 2);
    assert.ok(looks > 0 && looks <= 2 * (count + 3), `${looks} looks`);
  } finally {
    RunTable.prototype.byUse = byUse;
  }
});

/** The most by which `count` changes while nobody else can run. */
async function mostPerTurn(work: Promise<unknown>, count: () => number): Promise<number> {
  let before = count(), most = 0;
  const look = () => {
    const now = count();
    most = Math.max(most, Math.abs(now - before));
    before = now;
  };
  const timer = setInterval(look, 0);
  await work;
  clearInterval(timer);
  look();
  return most;
}

Deno.test("sweep() and list() let others run after some tens of runs", async () => {
  const count = 400;
  let leases = 0;
  const { lease } = RunTable.prototype;
  RunTable.prototype.lease = function (id) {
    leases += 1;
    return lease.call(this, id);
  };
  try {
    await using world = await newWorld();
    const ids = Array.from({ length: count }, (_, n) => `run-${n}`);
    for (const id of ids) await world.registry.create({ ...SMALL, id });
    leases = 0;
    // Neither of the two has to wait for a disk, which would let others run anyhow.
    const listed = await mostPerTurn(world.registry.list({ limit: count }), () => leases);
    assert.equal(leases, count);
    assert.ok(listed <= 120, `${listed} runs are listed in a turn`);
    const inMemory = () => world.registry.figures().runsInMemory;
    const swept = await mostPerTurn(world.registry.sweep({ idleMs: 0 }), inMemory);
    assert.equal(inMemory(), 0);
    assert.ok(swept <= 120, `${swept} runs are swept in a turn`);
  } finally {
    RunTable.prototype.lease = lease;
  }
});
