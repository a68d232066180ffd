/** A disk without room, and a folder that goes away: what is refused, what makes room, what works all the same. */
import assert from "node:assert/strict";
import { Room } from "../../../src/store/room.ts";
import { type Disk, NO_SPACE } from "../../store/support/disk.ts";
import { step } from "../support/harness.ts";
import { GRADIENT, lasting, newWorld, refused, request, SMALL } from "../support/stored.ts";

/** From now on the disk takes so many bytes more. */
function limit(disk: Disk, more: number): void {
  const used = () => disk.paths.reduce((sum, path) => sum + disk.bytesOf(path).length, 0);
  const capacity = used() + more;
  disk.fault = (operation, _, bytes) => {
    if (operation === "write" && used() + bytes > capacity) throw new Error(NO_SPACE);
  };
}

const reserve = (disk: Disk) => new Room({ files: disk, folder: "/runs" }).reserve();

Deno.test("a snapshot that gives back more than it takes is written before a change is refused", async () => {
  await using world = await newWorld({ journalBytesMax: 2 ** 40 });
  await reserve(world.disk);
  const numbers = Array.from({ length: 50_000 }, (_, at) => at);
  await world.registry.create({ ...SMALL, optimizer: "SGD", variables: [{ name: "w", shape: [50_000] }] });
  const take = () => request(world.registry, "small", (session) => step(session, { w: numbers }));
  // Journals of over 8 MB, where a snapshot has 0.2 MB.
  for (let steps = 0; steps < 45; steps++) await take();
  limit(world.disk, 300_000);
  let refusals = 0;
  for (let steps = 0; steps < 10;) {
    try {
      await take();
      steps += 1;
    } catch {
      // As the routes do: they try once more when room was made.
      refusals += 1;
      assert.equal(await world.registry.makeRoom(), true);
    }
  }
  assert.equal(refusals, 1);
  const state = lasting(world.registry.get("small"));
  assert.equal(state.description.version, 55);
  await world.restart(world.disk.kill());
  assert.deepEqual(lasting(world.registry.get("small")), state);
});

Deno.test("a run can be deleted on a full disk", async () => {
  await using world = await newWorld();
  await reserve(world.disk);
  for (const id of ["first", "second"]) await world.registry.create({ ...SMALL, id });
  limit(world.disk, 0);
  await refused(request(world.registry, "second", (session) => step(session, GRADIENT)), "storage_full");
  await world.registry.delete("first");
  await world.restart(world.disk.kill());
  assert.deepEqual((await world.registry.list({ limit: 10 })).runs.map(({ id }) => id), ["second"]);
});

Deno.test("no change is acknowledged whose journal was removed meanwhile, and no other run is concerned", async () => {
  await using world = await newWorld();
  for (const id of ["first", "second"]) await world.registry.create({ ...SMALL, id });
  const take = (id: string) => request(world.registry, id, (session) => step(session, GRADIENT));
  await take("first");
  await take("second");
  for (const path of world.disk.paths) if (path.startsWith("/runs/id-0/")) world.disk.delete(path);
  await refused(take("first"), "storage_failed");
  await take("second");
  assert.equal(world.registry.get("second").version, 2);
});
