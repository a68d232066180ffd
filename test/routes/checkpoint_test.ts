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
