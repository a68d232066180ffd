/** Records of runs in KV: replacing and removing them, and errors of the database. */
import assert from "node:assert/strict";
import { StepwellError } from "../../src/errors.ts";
import { ConfigStore, CREATION_KEPT_MS, KV_FORMAT, partsOf, type RunRecord } from "../../src/store/kv.ts";

const RECORD: RunRecord = {
  id: "demo",
  incarnation: "first",
  sequence: 3,
  createdAt: "2025-01-31T12:00:00.000Z",
  snapshots: [{ generation: 0, bytes: 10, crc32: 11 }],
  configParts: 1,
};
const NEXT = { ...RECORD, snapshots: [{ generation: 1, bytes: 10, crc32: 11 }, ...RECORD.snapshots] };

async function withStore(act: (configs: ConfigStore, path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/kv.sqlite`;
  const configs = await ConfigStore.open(path);
  try {
    await act(configs, path);
  } finally {
    configs.close();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Everything in a database, by key. */
async function keysOf(path: string): Promise<string[]> {
  using kv = await Deno.openKv(path);
  return (await Array.fromAsync(kv.list({ prefix: [] }))).map(({ key }) => key.join(" "));
}

Deno.test("ConfigStore.replace() and remove() change only the record of their own incarnation", async () => {
  await withStore(async (configs, path) => {
    assert.equal(await configs.replace(NEXT, "{}"), false, "there is none");
    await configs.put(RECORD, "{}");
    assert.equal(await configs.replace(NEXT, "{}"), true);
    assert.deepEqual(await configs.runs(), [NEXT]);
    const other = { ...RECORD, incarnation: "second" };
    await configs.put(other, "[]");
    assert.equal(await configs.replace(NEXT, "{}"), false);
    await configs.remove(NEXT);
    assert.deepEqual(await configs.runs(), [other]);
    await configs.removeReplaced(NEXT);
    assert.equal(await configs.config(other), "[]");
    await configs.remove(other);
    assert.deepEqual(await configs.runs(), []);
    assert.deepEqual(await keysOf(path), ["stepwell format"]);
  });
});

Deno.test("ConfigStore returns configs whole up to the bound, and drops longer ones", async () => {
  await withStore(async (configs, path) => {
    // Surrogates and boundaries of parts at all places.
    const texts = [15_999, 16_000, 16_001, 40_000, 320_000, 320_001, 5].map((length) =>
      "😀".repeat(length / 2) + "x".repeat(length % 2)
    );
    for (const text of texts) {
      const record = { ...RECORD, configParts: partsOf(text) };
      await configs.put(record, text);
      assert.equal(await configs.config(record), text.length > 320_000 ? undefined : text);
    }
    assert.deepEqual((await keysOf(path)).filter((key) => key.startsWith("config")), ["config first 0"]);
  });
});

Deno.test("ConfigStore.runs() are in order of creation", async () => {
  await withStore(async (configs) => {
    for (const [id, sequence] of [["b", 12], ["a", 100], ["c", 3]] as const) {
      await configs.put({ ...RECORD, id, incarnation: id, sequence }, "{}");
    }
    assert.deepEqual((await configs.runs()).map(({ id }) => id), ["c", "b", "a"]);
  });
});

Deno.test("ConfigStore.put() writes a run and its creation's key together", async () => {
  await withStore(async (configs) => {
    const creation = { key: "k", hash: "h", id: "demo", answer: "x".repeat(16_000), at: 0 };
    await configs.put(RECORD, "{}", creation);
    assert.deepEqual(await configs.creation("k"), creation);
    assert.equal(await configs.creation("other"), null);
  });
});

Deno.test("ConfigStore.put() removes the records of creations that are too old, and no others", async () => {
  await withStore(async (configs, path) => {
    const creation = { hash: "h", id: "demo", answer: null };
    for (const [key, at] of [["a", 0], ["b", 1], ["a", 2]] as const) {
      await configs.put(RECORD, "{}", { ...creation, key, at });
    }
    const keys = async () => (await keysOf(path)).filter((key) => key.startsWith("created"));
    assert.deepEqual(await keys(), [
      "created a",
      "created b",
      "created at 0 a",
      "created at 1 b",
      "created at 2 a",
    ]);
    await configs.put(RECORD, "{}", { ...creation, key: "c", at: CREATION_KEPT_MS + 2 });
    const left = ["created a", "created c", "created at 2 a", `created at ${CREATION_KEPT_MS + 2} c`];
    assert.deepEqual(await keys(), left);
    for (let n = 0; n < 40; n++) await configs.put(RECORD, "{}", { ...creation, key: `${n}`, at: n });
    // Each new record removes more than one old one.
    for (let n = 0; n < 5; n++) {
      await configs.put(RECORD, "{}", { ...creation, key: `new ${n}`, at: 1e12 + n });
    }
    assert.equal((await keys()).length, 10);
  });
});

Deno.test("ConfigStore refuses a newer format, and throws storage_failed when it cannot write", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/kv.sqlite`;
  const configs = await ConfigStore.open(path);
  configs.close();
  const failed = (error: unknown) => error instanceof StepwellError && error.code === "storage_failed";
  await assert.rejects(configs.put(RECORD, "{}"), failed);
  await assert.rejects(configs.replace(RECORD, "{}"), failed);
  await assert.rejects(configs.remove(RECORD), failed);
  await assert.rejects(configs.creation("k"), failed);
  await assert.rejects(configs.config(RECORD), failed);
  using kv = await Deno.openKv(path);
  await kv.set(["stepwell", "format"], KV_FORMAT + 1);
  await assert.rejects(ConfigStore.open(path), {
    message: `the database has format ${KV_FORMAT + 1}, this program reads format ${KV_FORMAT}`,
  });
  await Deno.remove(folder, { recursive: true });
});
