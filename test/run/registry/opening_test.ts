/** Runs that are read from their files while others ask for them, delete them or replace them. */
import assert from "node:assert/strict";
import { nextTurn } from "../../../src/slices.ts";
import { checkpointOf, restore } from "../checkpoint/support/checkpoints.ts";
import { setVariables, step, tensor } from "../support/harness.ts";
import { lasting, newWorld, refused, request, type World } from "../support/stored.ts";

/** Reading it takes several slices. */
const COUNT = 2 << 20;
const LARGE = {
  id: "large",
  optimizer: { class_name: "SGD", config: { learning_rate: 0.5, momentum: 0.5 } },
  variables: [{ name: "w", shape: [COUNT], initial: 3 }, { name: "b", shape: [2] }],
};
const GRADIENT = { b: [1, -2] };

/** A world in which the run has been created and changed, and is not in memory. */
async function withRun(act: (world: World) => Promise<void>): Promise<void> {
  await using world = await newWorld();
  const { registry } = world;
  await registry.create(LARGE);
  await request(registry, "large", (session) => {
    step(session, GRADIENT);
    setVariables(session, { b: tensor([2], [7, 8]) });
    session.patchOptimizer({ learning_rate: 0.25 });
    step(session, GRADIENT);
  });
  const wanted = lasting(registry.get("large"));
  await world.restart();
  await act(world);
  // Whatever happened, the run, if it is there, is the same.
  if (world.registry.has("large")) assert.deepEqual(lasting(await world.registry.open("large")), wanted);
  assert.equal(world.disk.openReaders, 0);
}

/** Begins to read the run. When this resolves, the first slice is done and the reading waits for its next turn. */
async function beginReading({ registry, disk }: World) {
  const opening = registry.open("large");
  // It is looked at later.
  opening.catch(() => {});
  await nextTurn();
  assert.equal(registry.present("large"), undefined);
  assert.equal(disk.openReaders, 1);
  return { opening };
}

/** How often a snapshot was opened. */
const readings = ({ disk }: World) =>
  disk.log.filter(({ operation, path }) => operation === "read" && path.includes("snapshot")).length;

Deno.test("requests for one run that come while it is read wait for that reading", async () => {
  await withRun(async (world) => {
    const { registry } = world;
    const { opening } = await beginReading(world);
    const sessions = await Promise.all([opening, registry.open("large"), registry.open("large")]);
    assert.equal(new Set(sessions).size, 1);
    assert.equal(readings(world), 1);
    assert.equal(await registry.open("large"), registry.present("large"));
    assert.equal(readings(world), 1);
  });
});

Deno.test("whoever cannot wait reads the run at once, and the others get that run", async () => {
  await withRun(async (world) => {
    const { registry } = world;
    const { opening } = await beginReading(world);
    const session = registry.get("large");
    assert.equal(await opening, session);
    assert.equal(registry.present("large"), session);
    assert.equal(registry.figures().runsInMemory, 1);
  });
});

Deno.test("a run that is deleted while it is read is no more, and leaves nothing behind", async () => {
  await withRun(async (world) => {
    const { registry, disk } = world;
    const { opening } = await beginReading(world);
    const deleted = registry.delete("large");
    assert.equal(disk.openReaders, 0);
    assert.equal(registry.figures().runBytes, 0);
    await refused(opening, "unknown_run");
    await deleted;
    assert.ok(disk.paths.every((path) => !path.includes("snapshot") && !path.includes("journal")));
    // The arena of the run that was not read to its end is used again.
    const { arenaBytes } = registry.figures();
    await registry.create({ ...LARGE, id: "next" });
    assert.equal(registry.figures().arenaBytes, arenaBytes);
    await registry.delete("next");
  });
});

Deno.test("a run whose deletion fails while it is read can be read again", async () => {
  await withRun(async (world) => {
    const { registry, disk } = world;
    const { opening } = await beginReading(world);
    disk.fault = (operation, path) => {
      if (operation === "create" && path.endsWith("deleted")) {
        throw new Error("Input/output error (os error 5)");
      }
    };
    await refused(registry.delete("large"), "storage_failed");
    disk.fault = () => {};
    assert.equal(await opening, registry.present("large"));
  });
});

Deno.test("a run that a checkpoint replaces while it is read is the new one for those who wait", async () => {
  await withRun(async (world) => {
    const { registry } = world;
    const checkpoint = checkpointOf(await registry.open("large"));
    await world.restart();
    const { opening } = await beginReading(world);
    const replaced = await restore(world.registry, "large", checkpoint);
    const opened = await opening;
    assert.ok(opened === replaced || opened.version < replaced.version);
    assert.equal(world.registry.present("large"), replaced);
    await world.registry.delete("large");
  });
});

Deno.test("all who wait for a run that cannot be read get the error, and the next request tries again", async () => {
  await withRun(async (world) => {
    const { registry, disk } = world;
    const { opening } = await beginReading(world);
    disk.fault = (operation, path) => {
      if (operation === "read" && path.includes("journal")) {
        throw new Error("Too many open files (os error 24)");
      }
    };
    await Promise.all([
      refused(opening, "storage_failed"),
      refused(registry.open("large"), "storage_failed"),
    ]);
    assert.equal(registry.figures().runsInMemory, 0);
    assert.equal(readings(world), 1);
    disk.fault = () => {};
    await registry.open("large");
    assert.equal(readings(world), 2);
  });
});

Deno.test("a run that is being read is not lost by a shutdown", async () => {
  await withRun(async (world) => {
    const { opening } = await beginReading(world);
    await world.registry.shutdown();
    await opening;
    await world.restart();
  });
});

Deno.test("a small run is read without waiting for a turn", async () => {
  await using world = await newWorld();
  await world.registry.create({ ...LARGE, variables: [{ name: "b", shape: [2] }] });
  await world.restart();
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  await world.registry.open("large");
  clearInterval(timer);
  assert.equal(turns, 0);
});
