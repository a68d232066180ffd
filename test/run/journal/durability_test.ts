/** The promise of each durability, and the storage figures in descriptions. */
import assert from "node:assert/strict";
import { journalHeader } from "../../../src/store/journal_writer.ts";
import { IO_ERROR } from "../../store/support/disk.ts";
import { checkpointOf, restore } from "../checkpoint/support/checkpoints.ts";
import { step } from "../support/harness.ts";
import { GRADIENT, lasting, newWorld, request, SMALL, type World } from "../support/stored.ts";

const take = ({ registry }: World) => request(registry, "small", (session) => step(session, GRADIENT));
const storageOf = ({ registry }: World) => {
  const { durability, journal_bytes, snapshot_version } = registry.get("small").describe();
  return { durability, journal_bytes, snapshot_version };
};
const HEADER = journalHeader(0, { run: "small", incarnation: "id-0" }).length;

Deno.test("durability journal: every change is in the journal, until a snapshot has it", async () => {
  await using world = await newWorld({ journalBytesMax: 1000 });
  await world.registry.create(SMALL);
  assert.deepEqual(storageOf(world), { durability: "journal", journal_bytes: HEADER, snapshot_version: 0 });
  let last = HEADER;
  for (let n = 0; n < 3; n++) {
    await take(world);
    const { journal_bytes } = storageOf(world);
    assert.ok(journal_bytes > last + 12);
    last = journal_bytes;
  }
  await world.restart();
  assert.deepEqual(storageOf(world), { durability: "journal", journal_bytes: last, snapshot_version: 0 });
  await world.registry.sweep({ idleMs: 1e9 });
  assert.equal(storageOf(world).snapshot_version, 0, "the journal is short");
  while (storageOf(world).journal_bytes <= 1000) await take(world);
  const { version } = world.registry.get("small");
  await world.registry.sweep({ idleMs: 1e9 });
  const now = { durability: "journal", journal_bytes: HEADER, snapshot_version: version };
  assert.deepEqual(storageOf(world), now);
  const files = world.disk.paths;
  await world.registry.sweep({ idleMs: 1e9 });
  assert.deepEqual(world.disk.paths, files, "there is nothing new");
  await world.restart();
  assert.deepEqual(storageOf(world), now);
});

Deno.test("durability snapshot: a crash loses the changes after the last snapshot, a shutdown loses nothing", async () => {
  await using world = await newWorld();
  await world.registry.create({ ...SMALL, durability: "snapshot" });
  await take(world);
  assert.deepEqual(storageOf(world), { durability: "snapshot", journal_bytes: HEADER, snapshot_version: 0 });
  await world.restart();
  assert.equal(world.registry.get("small").version, 0);
  await take(world);
  const first = lasting(world.registry.get("small"));
  await world.registry.sweep({ idleMs: 1e9 });
  await take(world);
  await world.restart(world.disk.powerCut());
  assert.deepEqual(lasting(world.registry.get("small")), first);
  await take(world);
  const second = lasting(world.registry.get("small"));
  await world.registry.shutdown();
  await world.restart(world.disk.powerCut());
  assert.deepEqual(lasting(world.registry.get("small")), second);
});

Deno.test("durability snapshot: changes made while a snapshot is written are in the next one", async () => {
  await using world = await newWorld();
  await world.registry.create({ ...SMALL, durability: "snapshot" });
  await take(world);
  let during: Promise<unknown> | undefined;
  world.disk.fault = (operation) => {
    // The snapshot's copy of the state has been made.
    if (operation === "rename") during ??= take(world);
  };
  const sweeping = world.registry.sweep({ idleMs: 1e9 });
  await Promise.resolve();
  const shutdown = world.registry.shutdown();
  await Promise.all([sweeping, shutdown]);
  await during;
  assert.equal(world.registry.figures().runsInMemory, 0);
  await world.restart();
  assert.equal(world.registry.get("small").version, 2);
});

Deno.test("durability snapshot: a failed snapshot does not affect the run in memory", async () => {
  for (const operation of ["create", "write", "flush", "sync", "rename"]) {
    await using world = await newWorld();
    await world.registry.create({ ...SMALL, durability: "snapshot" });
    await take(world);
    world.disk.fault = (each) => {
      if (each === operation) throw new Error(IO_ERROR);
    };
    for (let n = 0; n < 2; n++) {
      await world.registry.sweep({ idleMs: 1e9 });
      await take(world);
    }
    assert.equal(world.registry.get("small").version, 3, operation);
    world.disk.fault = () => {};
    await world.registry.sweep({ idleMs: 1e9 });
    assert.equal(storageOf(world).snapshot_version, 3, operation);
    await world.restart(world.disk.powerCut());
    assert.equal(world.registry.get("small").version, 3, operation);
  }
});

Deno.test("durability none: nothing is written, and nothing is left", async () => {
  await using world = await newWorld();
  await world.registry.create({ ...SMALL, durability: "none" });
  await take(world);
  await world.registry.sweep({ idleMs: 0 });
  assert.deepEqual(storageOf(world), { durability: "none", journal_bytes: 0, snapshot_version: null });
  assert.equal(world.registry.get("small").version, 1);
  assert.deepEqual(
    world.disk.log.map(({ operation }) => operation),
    ["list", "makeFolder", "list"],
    "of the start",
  );
  await world.registry.shutdown();
  await world.restart();
  assert.ok(!world.registry.has("small"));
});

Deno.test("restore() can change the durability, and the replaced state does not come back", async () => {
  await using world = await newWorld();
  await world.registry.create(SMALL);
  await world.registry.create({ ...SMALL, id: "other", durability: "none" });
  const [stored, unstored] = ["small", "other"].map((id) => checkpointOf(world.registry.get(id)));
  await restore(world.registry, "small", unstored as NonNullable<typeof unstored>);
  await restore(world.registry, "other", stored as NonNullable<typeof stored>);
  await request(world.registry, "other", (session) => step(session, GRADIENT));
  assert.equal(storageOf(world).durability, "none");
  await world.restart();
  assert.deepEqual((await world.registry.list({ limit: 10 })).runs.map(({ id, version }) => [id, version]), [
    ["other", 2],
  ]);
});

Deno.test("a deleted run stays deleted, and a new run under its id is a different one", async () => {
  await using world = await newWorld({ journalBytesMax: 0 });
  await world.registry.create(SMALL);
  await take(world);
  // This happens while a snapshot of the run is being written.
  const sweeping = world.registry.sweep({ idleMs: 1e9 });
  for (let n = 0; n < 3; n++) await Promise.resolve();
  await world.registry.delete("small");
  await sweeping;
  assert.deepEqual(world.disk.paths, []);
  await world.restart();
  assert.ok(!world.registry.has("small"));
  await world.registry.create(SMALL);
  await world.restart();
  assert.equal(world.registry.get("small").version, 0);
});

Deno.test("a run that is replaced while its snapshot is written stays replaced", async () => {
  for (let turns = 0; turns < 40; turns += 3) {
    await using world = await newWorld({ journalBytesMax: 0 });
    await world.registry.create(SMALL);
    await world.registry.create({ ...SMALL, id: "other", optimizer: "SGD" });
    await take(world);
    const checkpoint = checkpointOf(world.registry.get("other"));
    const sweeping = world.registry.sweep({ idleMs: 1e9 });
    for (let n = 0; n < turns; n++) await Promise.resolve();
    await restore(world.registry, "small", checkpoint);
    await sweeping;
    await take(world);
    const wanted = lasting(world.registry.get("small"));
    await world.restart(world.disk.powerCut());
    assert.deepEqual(lasting(world.registry.get("small")), wanted);
    assert.equal(wanted.description.optimizer.class_name, "SGD");
    assert.equal(new Set(world.disk.paths.map((path) => path.split("/")[2])).size, 2);
  }
});

Deno.test("runs of any name are stored, many of them at once", async () => {
  await using world = await newWorld();
  const ids = ["a", "A", "run.1", "x".repeat(64)];
  await Promise.all(ids.map((id) => world.registry.create({ ...SMALL, id })));
  await Promise.all(ids.map((id, n) =>
    request(world.registry, id, (session) => {
      for (let k = 0; k <= n; k++) step(session, GRADIENT);
    })
  ));
  await world.restart(world.disk.powerCut());
  const { runs } = await world.registry.list({ limit: 10 });
  assert.deepEqual(runs.map(({ id, version }) => [id, version]), ids.map((id, n) => [id, n + 1]));
});
