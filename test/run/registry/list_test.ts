/** Lists of runs that are not in memory: described by their configs in KV, as long as these are up to date. */
import assert from "node:assert/strict";
import { runCompiled } from "../../../kernels/compiler/runner.ts";
import { Registry } from "../../../src/run/registry/registry.ts";
import { localFiles } from "../../../src/store/files.ts";
import { Room } from "../../../src/store/room.ts";
import { ConfigStore } from "../../../src/store/kv.ts";
import { newRegistry, step } from "../support/harness.ts";

async function withStore(test: (reopen: () => Promise<Registry>) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(`${folder}/runs`);
  const configs = await ConfigStore.open(":memory:");
  let ids = 0;
  const options = {
    runsMax: 100,
    memoryBytesMax: 2 ** 28,
    runner: runCompiled,
    now: () => new Date(0),
    newId: () => `id-${ids++}`,
    drawSeed: () => 7,
    store: {
      files: localFiles,
      configs,
      folder: `${folder}/runs`,
      room: new Room({ files: localFiles, folder: `${folder}/runs` }),
    },
  };
  try {
    await test(() => Registry.open(options));
  } finally {
    configs.close();
    await Deno.remove(folder, { recursive: true });
  }
}

const VARIABLES = [{ name: "w", shape: [3] }];

Deno.test("list() describes stored runs without reading them, patches included", async () => {
  await withStore(async (reopen) => {
    const first = await reopen();
    const session = await first.create({ id: "one", optimizer: "Adam", variables: VARIABLES });
    step(session, { w: [1, 2, 3] });
    session.patchOptimizer({ learning_rate: 0.5 });
    const description = session.describe();
    await first.shutdown();

    const second = await reopen();
    const { runs } = await second.list({ limit: 10 });
    assert.deepEqual(runs, [{ ...description, journal_bytes: 0, snapshot_version: 2 }]);
    assert.equal(second.figures().runsInMemory, 0);
    assert.equal(second.get("one").version, 2);
    await second.shutdown();
  });
});

Deno.test("list() reads a run that has changed since its config was written", async () => {
  await withStore(async (reopen) => {
    const first = await reopen();
    const session = await first.create({ id: "one", optimizer: "Adam", variables: VARIABLES });
    step(session, { w: [1, 2, 3] });
    await first.lease("one").durable();

    // The first registry is not shut down, as in a crash.
    const second = await reopen();
    const { runs } = await second.list({ limit: 10 });
    assert.deepEqual(runs.map(({ version }) => version), [1]);
    assert.equal(second.figures().runsInMemory, 1);
    await second.shutdown();
    await first.shutdown();
  });
});

Deno.test("list() reads a run whose config is too long for KV", async () => {
  await withStore(async (reopen) => {
    const first = await reopen();
    const variables = Array.from(
      { length: 4000 },
      (_, n) => ({ name: `layer-${n}/${"x".repeat(60)}`, shape: [1] }),
    );
    const session = await first.create({ id: "one", optimizer: "SGD", variables });
    const description = session.describe();
    await first.shutdown();
    const second = await reopen();
    const { runs } = await second.list({ limit: 10 });
    assert.deepEqual(runs.map(({ variables }) => variables), [description.variables]);
    await second.shutdown();
  });
});

Deno.test("list() ends a page early when its runs have long descriptions, and leaves none out", async () => {
  const registry = newRegistry();
  const boundaries = Array.from({ length: 60_000 }, (_, at) => at + 1);
  const values = [...boundaries.map((at) => at / 7), 1];
  const learning_rate = { class_name: "PiecewiseConstantDecay", config: { boundaries, values } };
  const optimizer = { class_name: "SGD", config: { learning_rate } };
  const ids = Array.from({ length: 9 }, (_, at) => `run-${at}`);
  for (const id of ids) await registry.create({ id, optimizer, variables: VARIABLES });
  const pages: string[][] = [];
  for (let cursor: string | undefined, isFirst = true; isFirst || cursor; isFirst = false) {
    const { runs, next } = await registry.list({ limit: 100, cursor });
    pages.push(runs.map(({ id }) => id));
    cursor = next;
  }
  assert.deepEqual(pages.flat(), ids);
  assert.ok(pages.length > 1 && pages.every(({ length }) => length > 0), JSON.stringify(pages));
});
