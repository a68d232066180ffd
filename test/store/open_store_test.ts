/** Opening the local data folder: it is made, locked, matched with its database and swept. */
import assert from "node:assert/strict";
import { readDefinition } from "../../src/families/optimizers/custom/custom_member.ts";
import { localFiles } from "../../src/store/files.ts";
import { ConfigStore } from "../../src/store/kv.ts";
import { openStore } from "../../src/store/open_store.ts";

const RECORD = { id: "demo", sequence: 0, createdAt: "2025-01-31T12:00:00Z", snapshots: [], configParts: 0 };

const DEFINITION = readDefinition({ class_name: "Mine", dense: ["w = w - g"] });

/** The process holds the lock until it ends, so tests copy the folder instead of opening it again. */
async function withFolder(
  act: (folder: string, again: (from?: string) => Promise<string>) => Promise<void>,
): Promise<void> {
  const scratch = await Deno.makeTempDir();
  let copies = 0;
  const again = async (from = `${scratch}/0`) => {
    const to = `${scratch}/${++copies}`;
    await copyFolder(from, to);
    return to;
  };
  try {
    await act(`${scratch}/0`, again);
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

let ids = 0;
const open = (folder: string, kv = "") => openStore({ folder, kv, newId: () => `folder-${ids++}` });

function test(
  name: string,
  act: (folder: string, again: (from?: string) => Promise<string>) => Promise<void>,
): void {
  // The lock is released when the process ends.
  Deno.test({ name, fn: () => withFolder(act), sanitizeResources: false });
}

test("openStore() makes the folder, and refuses to open it a second time", async (folder) => {
  const { configs, files, folder: runs } = await open(`${folder}/deep/down`);
  assert.deepEqual(files.list(runs), []);
  await assert.rejects(open(`${folder}/deep/down`), { message: "another process is using it" });
  configs.close();
});

test("openStore() makes the names of its new files durable", async (folder) => {
  const synced: string[] = [];
  const files = { ...localFiles, sync: (path: string) => (synced.push(path), localFiles.sync(path)) };
  const { configs } = await openStore({ folder: `${folder}/deep`, kv: "", newId: () => "name", files });
  assert.deepEqual(synced, [`${folder}/deep`, folder]);
  configs.close();
});

test(
  "openStore() refuses a database that is not the folder's, and leaves every file",
  async (folder, again) => {
    const first = await open(folder);
    await Deno.mkdir(`${first.folder}/one`);
    await first.configs.put({ ...RECORD, incarnation: "one" }, "{}");
    first.configs.close();
    const problem = {
      message: "its runs are not those of the database; STEPWELL_KV must name the one that they are in",
    };
    // A new database is filled from the folders.
    const lost = await again();
    await Deno.remove(`${lost}/kv.sqlite`);
    const filled = await open(lost);
    assert.deepEqual(filled.files.list(filled.folder), ["one"]);
    filled.configs.close();
    // One that another service has made its own is not.
    const others = await open(`${folder}/others`, `${folder}/others.sqlite`);
    others.configs.close();
    await assert.rejects(open(await again(), `${folder}/others.sqlite`), problem);
    // A database that knows runs of another folder, and a folder that is new to it.
    await assert.rejects(open(`${folder}/new`, `${await again()}/kv.sqlite`), problem);
    assert.deepEqual(first.files.list(`${lost}/runs`), ["one"]);
    const moved = await again();
    const elsewhere = await open(moved, `${await again()}/kv.sqlite`);
    assert.deepEqual((await elsewhere.configs.runs()).map(({ id }) => id), ["demo"]);
    elsewhere.configs.close();
  },
);

test("openStore() opens a folder whose first start was interrupted", async (folder, again) => {
  const first = await open(folder);
  first.configs.close();
  const cut = await again();
  await Deno.truncate(`${cut}/lock`);
  const second = await open(cut);
  const name = second.configs.folder;
  second.configs.close();
  const third = await open(await again(cut));
  assert.equal(third.configs.folder, name);
  third.configs.close();
  const fresh = await ConfigStore.open(`${folder}/fresh.sqlite`);
  assert.equal(fresh.folder, null);
  fresh.close();
});

test("openStore() gives a database without runs to the later of two services", async (folder) => {
  const record = { ...RECORD, incarnation: "one" };
  const kv = `${folder}/shared.sqlite`;
  const first = await open(`${folder}/first`, kv);
  const second = await open(`${folder}/second`, kv);
  await second.configs.put(record, "{}");
  const refusal = {
    code: "storage_failed",
    message:
      "Cannot store the change: another service has made the database its own, must be one database a service",
  };
  const { configs } = first;
  for (
    const write of [
      () => configs.put(record, "{}"),
      () => configs.replace(record, "{}"),
      () => configs.remove(record),
      () => configs.removeReplaced(record),
      () => configs.putOptimizer({ sequence: 0, definition: DEFINITION }),
      () => configs.removeOptimizer(DEFINITION.class_name),
      () => configs.setFolder("first"),
    ]
  ) await assert.rejects(write, refusal);
  assert.deepEqual((await second.configs.runs()).map(({ incarnation }) => incarnation), ["one"]);
  assert.deepEqual(await second.configs.optimizers(), []);
  first.configs.close();
  second.configs.close();
});

test("openStore() lays a database aside that cannot be read, and fills a new one", async (folder, again) => {
  const first = await open(folder);
  await Deno.mkdir(`${first.folder}/one`);
  await first.configs.put({ ...RECORD, incarnation: "one" }, "{}");
  first.configs.close();
  for (
    const harm of [(bytes: Uint8Array) => bytes.fill(0, 0, 100), (bytes: Uint8Array) => bytes.fill(7, 100)]
  ) {
    const damaged = await again();
    const bytes = await Deno.readFile(`${damaged}/kv.sqlite`);
    harm(bytes);
    await Deno.writeFile(`${damaged}/kv.sqlite`, bytes);
    for (const end of ["-wal", "-shm"]) await Deno.remove(`${damaged}/kv.sqlite${end}`).catch(() => {});
    const notices: string[] = [];
    const { configs, files, folder: runs } = await openStore({
      folder: damaged,
      kv: "",
      newId: () => "aside",
      notify: ({ message }) => void notices.push(message),
    });
    assert.deepEqual(await configs.runs(), []);
    assert.deepEqual(files.list(runs), ["one"]);
    assert.ok(files.list(`${damaged}/lost+found/aside`).includes("kv.sqlite"));
    assert.equal(notices.length, 1);
    configs.close();
  }
});

/** Puts `act` in the place of a step of the start that the process does not survive. */
async function cutShort(folder: string, act: (set: () => Promise<void>) => Promise<void>): Promise<void> {
  const { setFolder } = ConfigStore.prototype;
  ConfigStore.prototype.setFolder = function (name) {
    return act(() => setFolder.call(this, name));
  };
  try {
    await assert.rejects(open(folder), { message: "killed" });
  } finally {
    ConfigStore.prototype.setFolder = setFolder;
  }
}

for (
  const [when, act] of [
    ["before the database has its name", () => Promise.reject(new Error("killed"))],
    ["after the database has its name", async (set: () => Promise<void>) => {
      await set();
      throw new Error("killed");
    }],
  ] as const
) {
  test(
    `openStore() gives a folder with runs a new database, after a start that was killed ${when}`,
    async (folder, again) => {
      const { configs, files, folder: runs } = await open(folder);
      configs.close();
      await files.makeFolder(`${runs}/some-run`);
      const first = await again();
      for (const { name } of [...Deno.readDirSync(first)]) {
        if (name.startsWith("kv.sqlite")) await Deno.remove(`${first}/${name}`);
      }
      await cutShort(first, act);
      const { configs: found } = await open(await again(first));
      assert.deepEqual(await found.runs(), []);
      found.close();
    },
  );
}
