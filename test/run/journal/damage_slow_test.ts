/** Files that are not what was written: the run comes back all the same, or says that it is damaged, and alone. */
import assert from "node:assert/strict";
import { StepwellError } from "../../../src/errors.ts";
import type { Registry } from "../../../src/run/registry/registry.ts";
import type { Disk } from "../../store/support/disk.ts";
import { codeOf, step } from "../support/harness.ts";
import { GRADIENT, lasting, newWorld, request, SMALL, type World } from "../support/stored.ts";

const take = (registry: Registry, id = "small", key?: string) =>
  request(registry, id, (session) => step(session, GRADIENT, key ? { key: { key, hash: key, at: 0 } } : {}));

/** A run with two snapshots behind it and changes since, as it must come back. */
async function withHistory(world: World) {
  await world.registry.create(SMALL);
  for (let generation = 0; generation < 3; generation++) {
    for (let n = 0; n < 3; n++) await take(world.registry, "small", `${generation}-${n}`);
    if (generation < 2) await world.registry.sweep({ idleMs: 1e9 });
  }
  return lasting(world.registry.get("small"));
}

const pathsOf = (disk: Disk, pattern: RegExp) => disk.paths.filter((path) => pattern.test(path));

function flip(disk: Disk, path: string, bit: number): void {
  const bytes = disk.bytesOf(path).slice();
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
  disk.put(path, bytes);
}

/** What the run is then: undefined where it says that it is damaged. */
function found(registry: Registry) {
  try {
    return lasting(registry.get("small"));
  } catch (error) {
    if (error instanceof StepwellError && error.code === "run_damaged") return undefined;
    throw error;
  }
}

Deno.test("files are the two newest snapshots and the journals since the older one", async () => {
  await using world = await newWorld({ journalBytesMax: 0 });
  await withHistory(world);
  assert.deepEqual(world.disk.paths.map((path) => path.replace(/.*\//, "")), [
    "journal-1.log",
    "journal-2.log",
    "snapshot-1.safetensors",
    "snapshot-2.safetensors",
  ]);
});

Deno.test("a damaged snapshot is made up for by the one before, and is no help afterwards", async () => {
  await using world = await newWorld({ journalBytesMax: 0 });
  const wanted = await withHistory(world);
  for (const harm of ["flip", "cut", "gone"]) {
    const disk = world.disk.copy();
    const [newest = ""] = pathsOf(disk, /snapshot-2/);
    if (harm === "flip") flip(disk, newest, 8 * 700);
    if (harm === "cut") disk.put(newest, disk.bytesOf(newest).slice(0, -1));
    if (harm === "gone") disk.delete(newest);
    await using other = await newWorld();
    for (const record of await world.configs.runs()) {
      await other.configs.put({ ...record, configParts: 0 }, "");
    }
    await other.restart(disk);
    assert.deepEqual(found(other.registry), wanted);
    await take(other.registry);
    const goneOn = lasting(other.registry.get("small"));
    // The next snapshot is damaged in turn: what it falls back on is the good one.
    await other.registry.shutdown();
    assert.deepEqual((await other.configs.runs())[0]?.snapshots.map(({ generation }) => generation), [3, 1]);
    const again = other.disk.copy();
    flip(again, pathsOf(again, /snapshot-3/)[0] ?? "", 999);
    await other.restart(again);
    assert.deepEqual(found(other.registry), goneOn);
  }
});

Deno.test("a run whose files are damaged says so, harms no other, and can be deleted", async () => {
  await using world = await newWorld({ journalBytesMax: 0 });
  await world.registry.create({ ...SMALL, id: "before" });
  await withHistory(world);
  await world.registry.create({ ...SMALL, id: "behind" });
  const harm: Record<string, (disk: Disk) => void> = {
    "both snapshots": (disk) => pathsOf(disk, /id-1.*snapshot/).forEach((path) => flip(disk, path, 5000)),
    "the last journal missing": (disk) => disk.delete(pathsOf(disk, /id-1.*journal-2/)[0] ?? ""),
    "the last journal": (disk) => flip(disk, pathsOf(disk, /id-1.*journal-2/)[0] ?? "", 500),
    "a journal in the place of another": (disk) =>
      disk.put(
        pathsOf(disk, /id-1.*journal-2/)[0] ?? "",
        disk.bytesOf(pathsOf(disk, /id-1.*journal-1/)[0] ?? ""),
      ),
    "the newest snapshot, and a journal ends early": (disk) => {
      const [first = ""] = pathsOf(disk, /id-1.*journal-1/);
      disk.put(first, disk.bytesOf(first).slice(0, -5));
      flip(disk, pathsOf(disk, /id-1.*snapshot-2/)[0] ?? "", 5000);
    },
    "the newest snapshot, and a journal ends early, between records": (disk) => {
      const [first = ""] = pathsOf(disk, /id-1.*journal-1/);
      disk.put(first, disk.bytesOf(first).slice(0, 20));
      flip(disk, pathsOf(disk, /id-1.*snapshot-2/)[0] ?? "", 5000);
    },
  };
  for (const [what, act] of Object.entries(harm)) {
    await using other = await newWorld({ newId: () => "new" });
    for (const record of await world.configs.runs()) {
      await other.configs.put({ ...record, configParts: 0 }, "");
    }
    const disk = world.disk.copy();
    act(disk);
    await other.restart(disk);
    const { registry } = other;
    assert.equal(codeOf(() => registry.get("small")), "run_damaged", what);
    assert.equal(codeOf(() => registry.get("small")), "run_damaged", what);
    assert.deepEqual((await registry.list({ limit: 10 })).runs.map(({ id }) => id), ["before", "behind"]);
    assert.equal((await take(registry, "before")).iterations, 1);
    const { arenaBytes, runBytes } = registry.figures();
    assert.equal(runBytes, 2 * 3 * 3 * 4, `${arenaBytes}`);
    await registry.delete("small");
    assert.equal(pathsOf(disk, /id-1/).length, 0);
    await registry.create(SMALL);
    await other.restart();
    assert.equal(other.registry.get("small").version, 0);
  }
});

Deno.test("any one bit flipped in any file: the run as it was, or damaged, never another run", async () => {
  await using world = await newWorld({ journalBytesMax: 0 });
  const wanted = await withHistory(world);
  const figures = { whole: 0, damaged: 0 };
  for (const path of world.disk.paths) {
    const bits = 8 * world.disk.bytesOf(path).length;
    // A prime: all places of a byte, all regions of the files.
    for (let bit = 0; bit < bits; bit += 89) {
      const disk = world.disk.copy();
      flip(disk, path, bit);
      await world.restart(disk);
      const state = found(world.registry);
      if (state) assert.deepEqual(state, wanted, `${path}, bit ${bit}`);
      figures[state ? "whole" : "damaged"] += 1;
      const isLast = path.endsWith("journal-2.log");
      assert.equal(state === undefined, isLast, `${path}, bit ${bit}`);
      flip(disk, path, bit);
    }
  }
  assert.ok(figures.whole > 100 && figures.damaged > 30, JSON.stringify(figures));
});

Deno.test("the last journal cut at any byte: the run as it was after one of its changes", async () => {
  await using world = await newWorld();
  await world.registry.create(SMALL);
  const states = [lasting(world.registry.get("small"))];
  for (const key of ["a", "b", "c"]) {
    await take(world.registry, "small", key);
    states.push(lasting(world.registry.get("small")));
  }
  const whole = world.disk.copy();
  const [journal = ""] = pathsOf(whole, /journal-0/);
  const seen = new Set<number>();
  for (let length = 0; length <= whole.bytesOf(journal).length; length++) {
    const disk = whole.copy();
    disk.put(journal, whole.bytesOf(journal).slice(0, length));
    await world.restart(disk);
    const state = found(world.registry);
    if (length < 20) {
      // It was whole before anything was acknowledged.
      assert.equal(state, undefined);
      continue;
    }
    const { version } = (state as NonNullable<typeof state>).description;
    assert.deepEqual(state, states[version], `${length} bytes`);
    seen.add(version);
    // It goes on, and the torn tail does not come back.
    await take(world.registry, "small", "next");
    const next = lasting(world.registry.get("small"));
    await world.restart();
    assert.deepEqual(found(world.registry), next, `${length} bytes`);
  }
  assert.deepEqual([...seen], [0, 1, 2, 3]);
});

Deno.test("a failed snapshot file is not taken for a good one, nor one that was being written", async () => {
  await using world = await newWorld({ journalBytesMax: 0 });
  await world.registry.create(SMALL);
  await take(world.registry);
  world.disk.fault = (operation) => {
    if (operation === "rename") throw new Error("Input/output error (os error 5)");
  };
  await world.registry.sweep({ idleMs: 1e9 });
  assert.deepEqual(pathsOf(world.disk, /part/), []);
  world.disk.fault = () => {};
  assert.equal(world.registry.get("small").describe().snapshot_version, 0);
  await take(world.registry);
  const wanted = lasting(world.registry.get("small"));
  await world.restart();
  assert.deepEqual(found(world.registry), wanted);
});
