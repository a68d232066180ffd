/**
 * The folders are the truth, the database is their index: whatever happens to one file of one run, and whatever the
 * database has lost, every other run is what it was, and no folder goes away.
 */
import assert from "node:assert/strict";
import { StepwellError } from "../../../src/errors.ts";
import type { Registry } from "../../../src/run/registry/registry.ts";
import type { Notice } from "../../../src/store/notice.ts";
import type { Disk } from "../../store/support/disk.ts";
import { checkpointOf, restore } from "../checkpoint/support/checkpoints.ts";
import { step } from "../support/harness.ts";
import { GRADIENT, lasting, newWorld, request, SMALL, type World } from "../support/stored.ts";

const IDS = ["first", "second", "third"] as const;

/** Three runs with a snapshot behind their first one and changes since; `older` are the files as they were before. */
async function withRuns(world: World) {
  for (const id of IDS) await world.registry.create({ ...SMALL, id }, { key: id, hash: "h", at: 0 });
  const take = (id: string) => request(world.registry, id, (session) => step(session, GRADIENT));
  for (const id of IDS) await take(id);
  const older = world.disk.copy();
  for (const id of IDS) await take(id);
  await world.registry.sweep({ idleMs: 1e9 });
  for (const id of IDS) await take(id);
  return { older, states: new Map(IDS.map((id) => [id, lasting(world.registry.get(id))])) };
}

const foldersOf = (disk: Disk) =>
  [...new Set(disk.paths.flatMap((path) => /(?:runs|lost\+found)\/([^/]+)\//.exec(path)?.[1] ?? []))].sort();

/** What a run is then: its state, or the code that says why it is not. */
function found(registry: Registry, id: string) {
  try {
    return lasting(registry.get(id));
  } catch (error) {
    if (error instanceof StepwellError) return error.code;
    throw error;
  }
}

/** The runs' folders, in order of their creation. */
const FOLDERS = ["id-0", "id-1", "id-2"];

interface Harm {
  readonly disk: Disk;
  readonly older: Disk;
  /** The harmed file. */
  readonly path: string;
}

const HARMS: Readonly<Record<string, (harm: Harm) => void>> = {
  flip: ({ disk, path }) => {
    const bytes = disk.bytesOf(path).slice();
    const at = bytes.length >> 1;
    bytes[at] = (bytes[at] ?? 0) ^ 4;
    disk.put(path, bytes);
  },
  truncation: ({ disk, path }) => disk.put(path, disk.bytesOf(path).slice(0, disk.bytesOf(path).length >> 1)),
  emptiness: ({ disk, path }) => disk.put(path, new Uint8Array(0)),
  removal: ({ disk, path }) => disk.delete(path),
  exchange: ({ disk, path }) => {
    const other = path.replace("id-1", "id-2"), bytes = disk.bytesOf(other);
    disk.put(other, disk.bytesOf(path));
    disk.put(path, bytes);
  },
  "an older copy": ({ disk, older, path }) => {
    if (older.paths.includes(path)) disk.put(path, older.bytesOf(path));
  },
};

const DATABASES: Readonly<Record<string, (world: World) => Promise<void>>> = {
  whole: () => Promise.resolve(),
  "that lost the run": async ({ configs }) => {
    for (const record of await configs.runs()) if (record.id === "second") await configs.remove(record);
  },
  "that lost all runs": async ({ configs }) => {
    for (const record of await configs.runs()) await configs.remove(record);
  },
  "that is new": (world) => world.loseDatabase(),
};

for (const [harm, act] of Object.entries(HARMS)) {
  for (const [database, lose] of Object.entries(DATABASES)) {
    Deno.test(`${harm} of any file of a run, with a database ${database}: nothing goes away, others are whole`, async () => {
      const names = await namesOf();
      assert.ok(names.length >= 5, names.join());
      for (const name of names) {
        await using world = await newWorld({ journalBytesMax: 0 });
        const { older, states } = await withRuns(world);
        const before = await world.configs.runs();
        const disk = world.disk.copy();
        act({ disk, older, path: `/runs/id-1/${name}` });
        await lose(world);
        await world.restart(disk);
        const what = `${harm} of ${name}, database ${database}`;
        assert.deepEqual(foldersOf(world.disk), FOLDERS, what);
        assert.deepEqual(found(world.registry, "first"), states.get("first"), what);
        const harmed = found(world.registry, "second"), third = found(world.registry, "third");
        if (harm !== "exchange") assert.deepEqual(third, states.get("third"), what);
        for (const [id, now] of [["second", harmed], ["third", third]] as const) {
          if (typeof now === "string") {
            // A folder that says nothing, of which the database says nothing either, was laid aside.
            const isAside = now === "unknown_run" && database !== "whole";
            assert.ok(now === "run_damaged" || isAside, `${what}: ${now}`);
            continue;
          }
          // The end of the last journal is not told from one that was never written; nothing else is lost in silence.
          const { version } = now.description;
          assert.ok(
            version === 3 || /journal-1/.test(name) && version === 2,
            `${what}: ${id} has ${version}`,
          );
        }
        // The database has what the folders have.
        const after = await world.configs.runs();
        if (typeof harmed !== "string" && harm !== "exchange") {
          assert.deepEqual(
            after.map(({ id, incarnation, sequence, createdAt }) => [id, incarnation, sequence, createdAt]),
            before.map(({ id, incarnation, sequence, createdAt }) => [id, incarnation, sequence, createdAt]),
            what,
          );
        }
        await request(world.registry, "first", (session) => step(session, GRADIENT));
      }
    });
  }
}

/** The files that a run's folder has then. */
async function namesOf(): Promise<string[]> {
  await using world = await newWorld({ journalBytesMax: 0 });
  await withRuns(world);
  return world.disk.paths.filter((path) => path.startsWith("/runs/id-1/")).map((path) =>
    path.slice("/runs/id-1/".length)
  );
}

Deno.test("a run that the database does not know is taken in with a notice, its key and its place", async () => {
  const notices: Notice[] = [];
  await using world = await newWorld({ journalBytesMax: 0, onNotice: (notice) => void notices.push(notice) });
  const { states } = await withRuns(world);
  const spec = { ...SMALL, id: "second" };
  await world.loseDatabase();
  await world.restart();
  assert.deepEqual(notices.map(({ run }) => run).sort(), ["first", "second", "third"]);
  assert.deepEqual((await world.registry.list({ limit: 10 })).runs.map(({ id }) => id), [...IDS]);
  for (const id of IDS) assert.deepEqual(lasting(world.registry.get(id)), states.get(id));
  assert.equal((await world.registry.creation({ key: "second", hash: "h" }))?.id, spec.id);
  notices.length = 0;
  await world.restart();
  assert.deepEqual(notices, []);
});

Deno.test("a run whose place a checkpoint has taken keeps the key that created it, whatever the database has lost", async () => {
  await using world = await newWorld({ journalBytesMax: 0 });
  await withRuns(world);
  await restore(world.registry, "second", checkpointOf(world.registry.get("first")));
  await world.loseDatabase();
  await world.restart();
  const found = await world.registry.creation({ key: "second", hash: "h" });
  assert.equal(found?.id, "second");
  assert.equal(found.answer === null ? undefined : JSON.parse(found.answer).version, 0);
});

Deno.test("a record without its folder is a damaged run, which can be deleted", async () => {
  await using world = await newWorld({ journalBytesMax: 0 });
  await withRuns(world);
  const disk = world.disk.copy();
  for (const path of disk.paths) if (path.startsWith("/runs/id-1/")) disk.delete(path);
  await world.restart(disk);
  assert.equal(found(world.registry, "second"), "run_damaged");
  await world.registry.delete("second");
  assert.equal(found(world.registry, "second"), "unknown_run");
  await world.restart();
  assert.equal(found(world.registry, "second"), "unknown_run");
});

/** Runs of which the second is being made, or deleted: its folder has that mark, and the process dies. */
async function withMark(world: World, mark: "unfinished" | "deleted"): Promise<{ older: Disk; disk: Disk }> {
  const { older } = await withRuns(world), disk = world.disk.copy();
  disk.put(`/runs/id-1/${mark}`, new Uint8Array(0));
  disk.put("/lost+found/id-1/run.json", new Uint8Array([1, 2, 3]));
  disk.put("/lost+found/kv/kv.sqlite", new Uint8Array([4]));
  return { older, disk };
}

const lostOf = (disk: Disk) =>
  disk.paths.filter((path) => path.startsWith("/lost+found/")).map((path) =>
    [path, disk.bytesOf(path)] as const
  );

for (const mark of ["unfinished", "deleted"] as const) {
  for (const [harm, act] of Object.entries(HARMS)) {
    for (const [database, lose] of Object.entries(DATABASES)) {
      Deno.test(`${harm} of any file beside the mark ${mark}, with a database ${database}: that folder alone goes away`, async () => {
        for (const name of [...await namesOf(), mark]) {
          await using world = await newWorld({ journalBytesMax: 0 });
          const { older, disk } = await withMark(world, mark), what = `${harm} of ${name}`;
          const isMoved = name === mark && /exchange/.test(harm);
          if (isMoved) {
            // The mark stands in another folder then, and says what it says there.
            disk.put(`/runs/id-2/${mark}`, disk.bytesOf(`/runs/id-1/${mark}`));
            disk.delete(`/runs/id-1/${mark}`);
          } else act({ disk, older, path: `/runs/id-1/${name}` });
          const lost = lostOf(disk);
          await lose(world);
          await world.restart(disk);
          const isUnmarked = name === mark && harm === "removal";
          const marked = isMoved ? "id-2" : isUnmarked ? undefined : "id-1";
          const files = (folder: string) =>
            world.disk.paths.filter((path) => path.startsWith(`${folder}/`)).length;
          for (const folder of FOLDERS) {
            if (folder === marked) assert.equal(files(`/runs/${folder}`), 0, what);
            // A folder that says nothing, of which the database says nothing either, was laid aside.
            else {assert.ok(
                files(`/runs/${folder}`) + files(`/lost+found/${folder}`) >= 4,
                `${what}: ${folder}`,
              );}
          }
          // What was laid aside stays there.
          for (const [path, bytes] of lost) assert.deepEqual(world.disk.bytesOf(path), bytes, what);
          assert.deepEqual(typeof found(world.registry, "first"), "object", what);
          if (marked === undefined) assert.equal(typeof found(world.registry, "second"), "object", what);
          if (marked === "id-1") assert.equal(found(world.registry, "second"), "unknown_run", what);
          // Nothing comes back.
          await world.restart();
          if (marked === "id-1") assert.equal(found(world.registry, "second"), "unknown_run", what);
        }
      });
    }
  }
}

Deno.test("what is laid aside finds its own place in lost+found, whatever is there", async () => {
  const notices: Notice[] = [];
  await using world = await newWorld({ journalBytesMax: 0, onNotice: (notice) => void notices.push(notice) });
  await withRuns(world);
  const disk = world.disk.copy(), there = new Uint8Array([1, 2, 3]);
  disk.put("/lost+found/id-1/run.json", there);
  disk.put("/runs/id-1/run.json", new Uint8Array(0));
  const names = disk.paths.filter((path) => path.startsWith("/runs/id-1/"));
  await world.loseDatabase();
  await world.restart(disk);
  assert.deepEqual(world.disk.bytesOf("/lost+found/id-1/run.json"), there);
  assert.equal(found(world.registry, "second"), "unknown_run");
  for (const path of names) {
    assert.ok(world.disk.paths.includes(path.replace("/runs/id-1/", "/lost+found/id-1-1/")), path);
  }
  assert.ok(notices.some(({ message }) => /moved to lost\+found\/id-1-1: /.test(message)));
});
