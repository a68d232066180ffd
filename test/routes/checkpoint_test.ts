/** GET checkpoint of runs on disk: the same file as of runs in memory, and no file stays open. */
import assert from "node:assert/strict";
import { newWorld } from "../run/support/stored.ts";
import { assertProblem, FILE_TYPE, startRun, startService } from "./support/harness.ts";

const PATH = "/v1/runs/demo/checkpoint";

Deno.test("get_checkpoint gives the same file for a run on disk as for one in memory, without opening the run", async () => {
  await using world = await newWorld();
  const before = startService({}, { registry: world.registry });
  await startRun(before);
  const live = await before.send("GET", PATH);
  const wanted = {
    headers: [...live.headers].filter(([name]) => name !== "x-request-id"),
    bytes: await live.bytes(),
  };
  await world.registry.shutdown();
  await world.restart();
  const { send } = startService({}, { registry: world.registry });
  const get = await send("GET", PATH);
  assert.equal(get.status, 200);
  assert.equal(get.headers.get("Content-Type"), FILE_TYPE);
  assert.deepEqual([...get.headers].filter(([name]) => name !== "x-request-id"), wanted.headers);
  assert.deepEqual(await get.bytes(), wanted.bytes);
  const head = await send("HEAD", PATH);
  assert.equal(head.headers.get("Content-Length"), String(wanted.bytes.length));
  assert.equal((await head.bytes()).length, 0);
  const fresh = await send("GET", PATH, { headers: { "If-None-Match": '"v1"' } });
  assert.deepEqual([fresh.status, fresh.headers.get("ETag")], [304, '"v1"']);
  const other = await send("GET", PATH, { headers: { "If-None-Match": '"v2"' } });
  await other.body?.cancel();
  await assertProblem(
    await send("GET", PATH, { headers: { "If-None-Match": "v1" } }),
    "malformed_header",
    400,
  );
  assert.equal(world.disk.openReaders, 0);
  assert.equal(world.registry.figures().runsInMemory, 0);
});

Deno.test("a run with long names takes back its own checkpoint, values and gradients", async () => {
  const service = startService();
  const { send } = service;
  const names = Array.from({ length: 20_000 }, (_, at) => `${at}`.padEnd(250, "x"));
  const variables = names.map((name) => ({ name, shape: [1] }));
  const made = await send("POST", "/v1/runs", { body: { id: "demo", optimizer: "Adam", variables } });
  assert.equal(made.status, 201);
  await made.body?.cancel();
  const checkpoint = await (await send("GET", PATH)).bytes();
  assert.ok(new DataView(checkpoint.buffer).getUint32(0, true) > 20 * 2 ** 20);
  const restored = await send("PUT", "/v1/runs/copy/checkpoint", { body: checkpoint });
  assert.equal(restored.status, 201, await restored.text());
  const values = await (await send("GET", "/v1/runs/demo/variables", { headers: { Accept: FILE_TYPE } }))
    .bytes();
  for (
    const [method, path] of [["PUT", "/v1/runs/copy/variables"], ["POST", "/v1/runs/copy/gradients"]] as const
  ) {
    const sent = await send(method, path, { body: values });
    assert.equal(sent.status, 200, `${method} ${path}: ${(await sent.text()).slice(0, 1000)}`);
  }
});
