/** Data folders of every earlier format stay readable. golden/make.ts has made them. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { SPARSE_SIGNUM } from "../support/signum.ts";
import { runCompiled } from "../../kernels/compiler/runner.ts";
import { Registry } from "../../src/run/registry/registry.ts";
import { openStore } from "../../src/store/open_store.ts";
import { type Change, make } from "../run/support/changing.ts";
import { golden } from "./support/golden.ts";

const ROOT = new URL("golden/", import.meta.url);

async function copyFolder(from: URL, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(new URL(`${name}/`, from), `${to}/${name}`);
    else await Deno.copyFile(new URL(name, from), `${to}/${name}`);
  }
}

/** In format 1 the keys of creations expire in KV after a real day: the copy is read as within that day. */
function setClockBack(path: string): void {
  using database = new DatabaseSync(path);
  database.exec("UPDATE kv SET expiration_ms = -1");
}

for (const { name } of [...Deno.readDirSync(ROOT)].filter(({ isDirectory }) => isDirectory)) {
  // The lock is released when the process ends.
  Deno.test({ name: `data folder ${name} is read and continued`, sanitizeResources: false }, async () => {
    const scratch = await Deno.makeTempDir();
    await copyFolder(new URL(`${name}/data/`, ROOT), scratch);
    setClockBack(`${scratch}/kv.sqlite`);
    const store = await openStore({ folder: scratch, kv: "", newId: () => "unused" });
    const open = () =>
      Registry.open({
        runsMax: 10,
        memoryBytesMax: 2 ** 28,
        runner: runCompiled,
        now: () => new Date(0),
        newId: () => crypto.randomUUID(),
        drawSeed: () => 7,
        store,
      });
    const registry = await open();
    const expected = (await Deno.readTextFile(new URL(`${name}/expected.jsonl`, ROOT))).trimEnd().split("\n");
    for (const line of expected) {
      const { id } = JSON.parse(line);
      assert.equal(golden(registry.get(id)), line);
      const creation = await registry.creation({ key: `create-${id}`, hash: "hash" });
      assert.equal(JSON.parse(creation?.answer ?? "").id, id);
      assert.equal(registry.get(id).replies.find({ key: "key-1", hash: "hash-1" })?.version, 1);
      const change: Change = { do: "patch", config: { learning_rate: 0.25 } };
      assert.notEqual(typeof await make(registry, id, change), "string");
    }
    const { class_name } = SPARSE_SIGNUM;
    // Format 1 was recorded without one.
    if (name !== "format-1") assert.equal(registry.optimizers.definition(class_name).class_name, class_name);
    const goneOn = expected.map((line) => golden(registry.get(JSON.parse(line).id)));
    await registry.shutdown();
    const again = await open();
    for (const line of goneOn) assert.equal(golden(again.get(JSON.parse(line).id)), line);
    await again.shutdown();
    store.configs.close();
    await Deno.remove(scratch, { recursive: true });
  });
}
