/**
 * Snapshots of runs that change meanwhile: each has the state of one moment, and no second copy of the run is needed.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { BackgroundFailure } from "../../../src/run/registry/evictor.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { IO_ERROR, NO_SPACE } from "../../store/support/disk.ts";
import { numbers, setVariables, step, tensor } from "../support/harness.ts";
import { GRADIENT, lasting, newWorld, request, SMALL, type World } from "../support/stored.ts";
import { atOnce } from "../../../src/slices.ts";

const MEBIBYTE = 2 ** 20;
const COUNT = MEBIBYTE / 4;

/** Two variables with their slots: 4 MiB and some. */
const large = (durability: "journal" | "snapshot") => ({
  id: "large",
  durability,
  optimizer: { class_name: "SGD", config: { momentum: 0.9 } },
  variables: [{ name: "w", shape: [COUNT], initial: 1 }, { name: "v", shape: [COUNT + 5], initial: 2 }],
});

const CHANGES: Readonly<Record<string, (session: Session) => unknown>> = {
  gradients: (session) => step(session, { w: tensor([COUNT], numbers(COUNT, { seed: 3 })) }),
  variables: (session) => setVariables(session, { v: tensor([COUNT + 5], numbers(COUNT + 5, { seed: 4 })) }),
  weights: (session) =>
    session.setWeights([
      7,
      ...session.weights().tensors.map(({ shape }) => ({
        shape,
        values: Float32Array.from(numbers(shape[0] ?? 1, { seed: 5 })),
      })),
    ]),
  optimizer: (session) => session.patchOptimizer({ learning_rate: 0.5, momentum: 0.8 }),
};

/** A digest of a checkpoint, computed without a copy. */
function digests(session: Session): Record<string, unknown> {
  const { metadata, state } = session.liveCheckpoint();
  const digest = (values: Float32Array<ArrayBuffer>) => createHash("md5").update(values).digest("hex");
  const tensors = [...state.variables.values()].flatMap((variable) => [
    [variable.name, digest(state.values(variable))],
    ...state.slotNames.map((slot) => [`${slot}/${variable.name}`, digest(state.slotValues(variable, slot))]),
  ]);
  return { ...metadata, ...Object.fromEntries(tensors) };
}

/** Calls `act` once, when a snapshot's file has `mebibytes`. Returns a function that waits for it. */
function whenWritten(world: World, mebibytes: number, act: () => unknown): () => Promise<unknown> {
  let bytes = 0, done: Promise<unknown> | undefined;
  world.disk.fault = (operation, path, count) => {
    if (operation !== "write" || !path.endsWith(".part")) return;
    bytes += count;
    if (bytes >= mebibytes * MEBIBYTE) done ??= setImmediate().then(act);
  };
  return () => {
    assert.ok(done, "it was not called");
    return done;
  };
}

/** Too little memory for a copy of the run beside a change, and enough. */
const MEMORY = { little: 7 * MEBIBYTE, much: 64 * MEBIBYTE };

for (const [what, change] of Object.entries(CHANGES)) {
  Deno.test(`a snapshot holds the run as it was, whenever a change of ${what} comes`, async () => {
    const moments = what === "gradients" ? [0, 1, 2.5, 4] : [1];
    const all = Object.entries(MEMORY).flatMap(([memory, memoryBytesMax]) =>
      (["journal", "snapshot"] as const).flatMap((durability) =>
        moments.map((mebibytes) => ({ memory, memoryBytesMax, durability, mebibytes }))
      )
    );
    for (const { memory, memoryBytesMax, durability, mebibytes } of all) {
      const at = `${durability}, ${memory} memory, at ${mebibytes} MiB`;
      await using world = await newWorld({ memoryBytesMax, journalBytesMax: 0 });
      await world.registry.create(large(durability));
      await request(world.registry, "large", CHANGES["gradients"] as () => unknown);
      const before = digests(world.registry.get("large"));
      let written = 0;
      const counted = (session: Session) => {
        const { length } = world.disk.log;
        change(session);
        written = world.disk.log.slice(length).filter(({ path }) => path.endsWith(".part")).length;
      };
      const changed = whenWritten(world, mebibytes, () => request(world.registry, "large", counted));
      await world.registry.sweep({ idleMs: 1e9 });
      await changed();
      world.disk.fault = () => {};
      // With a copy, the change need not write the remaining bytes.
      if (mebibytes < 2) assert.equal(written > 0, memory === "little", at);
      const after = digests(world.registry.get("large"));
      assert.notDeepEqual(after, before);
      assert.equal(world.registry.get("large").describe().snapshot_version, 1, at);
      await world.restart(world.disk.powerCut());
      assert.deepEqual(digests(world.registry.get("large")), durability === "journal" ? after : before, at);
    }
  });
}

Deno.test("a snapshot takes no memory from other runs, and releases its own", async () => {
  await using world = await newWorld({ memoryBytesMax: 12 * MEBIBYTE, journalBytesMax: 0 });
  for (const id of ["one", "two"]) await world.registry.create({ ...large("journal"), id });
  const [one] = [world.registry.get("one"), world.registry.get("two")];
  await request(world.registry, "one", (session) => session.patchOptimizer({ learning_rate: 0.5 }));
  await world.registry.sweep({ idleMs: 1e9 });
  assert.equal(world.registry.figures().runsInMemory, 2);
  assert.equal(one?.describe().snapshot_version, 1);
  await world.registry.delete("two");
  await request(world.registry, "one", (session) => session.patchOptimizer({ learning_rate: 0.25 }));
  const { arenaBytes } = world.registry.figures();
  for (let n = 0; n < 3; n++) await world.registry.sweep({ idleMs: 1e9 });
  assert.equal(one?.describe().snapshot_version, 2);
  assert.equal(
    world.registry.figures().arenaBytes,
    arenaBytes,
    "the memory of the other one was there for it",
  );
  await world.registry.create({ ...large("journal"), id: "three" });
  assert.equal(world.registry.figures().runsInMemory, 2);
});

Deno.test("a change is not refused because the snapshot being written fails", async () => {
  const failures: BackgroundFailure[] = [];
  await using world = await newWorld({ journalBytesMax: 0, onFailure: (failure) => failures.push(failure) });
  await world.registry.create(large("journal"));
  await request(world.registry, "large", CHANGES["gradients"] as () => unknown);
  const changed = whenWritten(world, 1, () => {
    world.disk.fault = (operation, path) => {
      if (operation === "write" && path.endsWith(".part")) throw new Error(NO_SPACE);
    };
    return request(world.registry, "large", CHANGES["variables"] as () => unknown);
  });
  await world.registry.sweep({ idleMs: 1e9 });
  await changed();
  world.disk.fault = () => {};
  assert.equal(failures.length, 1);
  const after = digests(world.registry.get("large"));
  await world.restart(world.disk.powerCut());
  assert.deepEqual(digests(world.registry.get("large")), after);
  assert.equal(world.registry.get("large").describe().snapshot_version, 0);
  assert.ok(!world.disk.paths.some((path) => path.endsWith(".part")));
});

Deno.test("a run that is deleted or replaced while its snapshot is written leaves no snapshot behind", async () => {
  for (const how of ["delete", "replace"] as const) {
    const failures: BackgroundFailure[] = [];
    await using world = await newWorld({
      journalBytesMax: 0,
      onFailure: (failure) => failures.push(failure),
    });
    await world.registry.create(large("journal"));
    await world.registry.create(SMALL);
    await request(world.registry, "large", CHANGES["gradients"] as () => unknown);
    const gone = whenWritten(world, 1, async () => {
      if (how === "delete") return await world.registry.delete("large");
      const restoration = world.registry.restore("large");
      const { metadata, tensors, release } = world.registry.get("small").checkpoint();
      const target = atOnce(restoration.begin(new Map(Object.entries(metadata))));
      for (const { name, shape, values } of tensors) {
        const sink = target.dense(name, { dtype: "F32", shape });
        sink.write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
        sink.close();
      }
      release();
      await restoration.commit();
    });
    await world.registry.sweep({ idleMs: 1e9 });
    await gone();
    world.disk.fault = () => {};
    assert.deepEqual(failures, []);
    const folders = new Set(world.disk.paths.map((path) => path.slice(0, path.lastIndexOf("/"))));
    assert.equal(folders.size, how === "delete" ? 1 : 2);
    await world.restart();
    assert.equal(world.registry.has("large"), how === "replace");
    if (how === "replace") assert.equal(world.registry.get("large").describe().parameters, 3);
  }
});

Deno.test("a run that is read again while its snapshot is written continues, and gets a snapshot later", async () => {
  await using world = await newWorld({ journalBytesMax: 0 });
  await world.registry.create(large("journal"));
  await request(world.registry, "large", CHANGES["gradients"] as () => unknown);
  const old = world.registry.get("large"), before = digests(old);
  let isBroken = true;
  const changed = whenWritten(world, 1, async () => {
    world.disk.fault = (operation, path) => {
      if (isBroken && operation === "flush" && path.endsWith(".log")) throw new Error(IO_ERROR);
    };
    const change = request(world.registry, "large", CHANGES["variables"] as () => unknown);
    await assert.rejects(change, { code: "storage_failed" });
    isBroken = false;
    return world.registry.get("large");
  });
  await world.registry.sweep({ idleMs: 1e9 });
  await changed();
  assert.notEqual(world.registry.get("large"), old);
  assert.deepEqual(digests(world.registry.get("large")), before);
  await request(world.registry, "large", CHANGES["optimizer"] as () => unknown);
  await world.registry.sweep({ idleMs: 1e9 });
  assert.equal(world.registry.get("large").describe().snapshot_version, 2);
  const after = digests(world.registry.get("large"));
  await world.restart(world.disk.powerCut());
  assert.deepEqual(digests(world.registry.get("large")), after);
});

Deno.test("sweep() writes the snapshots of a few runs at a time", async () => {
  await using world = await newWorld();
  const ids = Array.from({ length: 40 }, (_, n) => `run-${n}`);
  for (const id of ids) await world.registry.create({ ...SMALL, id, durability: "snapshot" });
  for (const id of ids) await request(world.registry, id, (session) => step(session, GRADIENT));
  let open = 0, most = 0;
  world.disk.fault = (operation, path) => {
    if (!path.endsWith(".part")) return;
    if (operation === "create") most = Math.max(most, ++open);
    if (operation === "rename") open -= 1;
  };
  await world.registry.sweep({ idleMs: 1e9 });
  assert.ok(most > 1 && most <= 8, `${most} at a time`);
  await world.restart();
  for (const id of ids) assert.equal(lasting(world.registry.get(id)).description.version, 1);
});
