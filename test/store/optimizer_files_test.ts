/**
 * Files of registered optimizers: whatever happens to one of them, the others are what they were, nothing goes away, and
 * the start gives back to files and database what only one of them has.
 */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { readDefinition } from "../../src/families/optimizers/custom/custom_member.ts";
import { ConfigStore, type OptimizerRecord } from "../../src/store/kv.ts";
import { OptimizerFiles } from "../../src/store/optimizer_files.ts";
import { Disk } from "./support/disk.ts";

const RECORDS: readonly OptimizerRecord[] = ["First", "Second", "Third"].map((class_name, sequence) => ({
  sequence,
  definition: readDefinition({ class_name, dense: [`w = w - ${sequence + 2} * g`] }),
}));
const NAMES = RECORDS.map(({ definition }) => definition.class_name);
const SECOND = "/optimizers/optimizer-1.json", THIRD = "/optimizers/optimizer-2.json";

const filesOf = (disk: Disk, configs: ConfigStore) =>
  new OptimizerFiles({ files: disk, configs, folder: "/runs" });

async function opened(disk: Disk, configs: ConfigStore) {
  const notices: string[] = [], files = filesOf(disk, configs);
  const records = await files.open(({ message }) => notices.push(message));
  return { files, records, notices, names: records.map(({ definition }) => definition.class_name) };
}

/** A folder with all three optimizers, the second of which was removed and registered anew, and its database. */
async function made(): Promise<{ disk: Disk; configs: ConfigStore }> {
  const disk = new Disk(), configs = await ConfigStore.open(":memory:"), files = filesOf(disk, configs);
  const [first, second, third] = RECORDS as [OptimizerRecord, OptimizerRecord, OptimizerRecord];
  await files.putOptimizer(first);
  const definition = readDefinition({ class_name: "Second", dense: ["w = w + g"] });
  await files.putOptimizer({ sequence: 1, definition });
  await files.removeOptimizer("Second");
  await files.putOptimizer(second);
  await files.putOptimizer(third);
  return { disk, configs };
}

const HARMS: Readonly<Record<string, (disk: Disk) => void>> = {
  flip: (disk) => {
    const bytes = disk.bytesOf(SECOND).slice(), at = bytes.length >> 1;
    bytes[at] = (bytes[at] ?? 0) ^ 4;
    disk.put(SECOND, bytes);
  },
  truncation: (disk) => disk.put(SECOND, disk.bytesOf(SECOND).slice(0, 20)),
  emptiness: (disk) => disk.put(SECOND, new Uint8Array(0)),
  removal: (disk) => disk.delete(SECOND),
  exchange: (disk) => {
    const bytes = disk.bytesOf(THIRD);
    disk.put(THIRD, disk.bytesOf(SECOND));
    disk.put(SECOND, bytes);
  },
  "a copy of another": (disk) => disk.put(SECOND, disk.bytesOf(THIRD)),
};

for (const [harm, act] of Object.entries(HARMS)) {
  Deno.test(`${harm} of an optimizer's file: the database gives it back, and the file tells it from then on`, async () => {
    const { disk, configs } = await made();
    const before = disk.copy();
    act(disk);
    const harmed = disk.paths.includes(SECOND) ? disk.bytesOf(SECOND).slice() : undefined;
    const { records, notices } = await opened(disk, configs);
    assert.deepEqual(records, RECORDS);
    assert.equal(notices.length, /flip|truncation|emptiness/.test(harm) ? 1 : 0, notices.join());
    // What could not be read is still there.
    const kept = disk.paths.some((path) => harmed && Buffer.compare(disk.bytesOf(path), harmed) === 0);
    assert.ok(kept || harmed === undefined);
    assert.deepEqual(
      disk.bytesOf("/optimizers/optimizer-0.json"),
      before.bytesOf("/optimizers/optimizer-0.json"),
    );
    // The database is lost after that.
    configs.close();
    const fresh = await ConfigStore.open(":memory:"), again = await opened(disk, fresh);
    assert.deepEqual(again.records, RECORDS);
    assert.deepEqual(await fresh.optimizers(), RECORDS);
    // A removal removes that one, wherever it is.
    await again.files.removeOptimizer("Second");
    fresh.close();
    const last = await ConfigStore.open(":memory:");
    assert.deepEqual((await opened(disk, last)).names, ["First", "Third"]);
    last.close();
  });

  Deno.test(`${harm} of an optimizer's file without the database: the others are whole, and nothing goes away`, async () => {
    const { disk, configs } = await made();
    configs.close();
    act(disk);
    const before = disk.paths.map((path) => disk.bytesOf(path));
    const fresh = await ConfigStore.open(":memory:"), { names } = await opened(disk, fresh);
    assert.deepEqual(names, harm === "exchange" ? NAMES : ["First", "Third"]);
    const after = disk.paths.map((path) => disk.bytesOf(path));
    for (const bytes of before) assert.ok(after.some((each) => Buffer.compare(each, bytes) === 0));
    // The name is free again, and a second harmed file finds its own place in lost+found.
    if (harm !== "exchange") {
      const files = filesOf(disk, fresh);
      await files.open(() => {});
      await files.putOptimizer(RECORDS[1] as OptimizerRecord);
      assert.deepEqual((await opened(disk, fresh)).names, NAMES);
      const aside = disk.paths.filter((path) => path.startsWith("/lost+found/"));
      act(disk);
      await opened(disk, fresh);
      for (const path of aside) assert.ok(disk.paths.includes(path));
    }
    fresh.close();
  });
}

Deno.test("of two files of one name the later registration counts, and a removal removes both", async () => {
  const { disk, configs } = await made();
  const definition = readDefinition({ class_name: "Second", dense: ["w = w + g"] });
  const files = filesOf(disk, configs), removed = disk.bytesOf(SECOND);
  await files.open(() => {});
  await files.removeOptimizer("Second");
  const earlier = disk.copy();
  await files.putOptimizer({ sequence: 3, definition });
  disk.put(SECOND, removed);
  for (const isLost of [false, true]) {
    const database = isLost ? await ConfigStore.open(":memory:") : configs;
    const { records } = await opened(disk, database);
    assert.deepEqual(records.find(({ definition: { class_name } }) => class_name === "Second"), {
      sequence: 3,
      definition,
    });
    if (isLost) {
      const reopened = await opened(disk, database);
      await reopened.files.removeOptimizer("Second");
      assert.deepEqual((await opened(disk, database)).names, ["First", "Third"]);
      assert.deepEqual(disk.paths, earlier.paths);
    }
    database.close();
  }
});

Deno.test("an optimizer whose file cannot be written or moved is used all the same, with a notice", async () => {
  const { disk, configs } = await made();
  disk.put(SECOND, new Uint8Array(1));
  disk.fault = (operation) => {
    if (operation === "create" || operation === "rename") {
      throw new Error("No space left on device (os error 28)");
    }
  };
  const { records, notices } = await opened(disk, configs);
  assert.deepEqual(records, RECORDS);
  assert.equal(notices.length, 2);
  assert.ok(notices.every((notice) => /No space left/.test(notice)));
  configs.close();
});
