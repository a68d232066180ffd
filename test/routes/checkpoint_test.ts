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

type Header = Record<string, { dtype: string; data_offsets: [number, number] } | Record<string, string>>;

/** The file with its header written anew, and its tensors in the order of that header. */
function rewritten(file: Uint8Array, write: (header: Header) => string): Uint8Array<ArrayBuffer> {
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const header: Header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  const text = new TextEncoder().encode(write(header));
  const out = new Uint8Array(8 + text.length + file.length - 8 - length);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  let at = 0;
  for (const entry of Object.values(JSON.parse(new TextDecoder().decode(text)) as Header)) {
    if (!("data_offsets" in entry)) continue;
    const [begin, end] = entry.data_offsets as [number, number];
    at = Math.max(at, end);
    out.set(file.subarray(8 + length + begin, 8 + length + end), 8 + text.length + begin);
  }
  assert.equal(8 + text.length + at, out.length);
  return out;
}

const REWRITTEN: Readonly<Record<string, (header: Header) => string>> = {
  "as it is": (header) => JSON.stringify(header),
  "with spaces": (header) => JSON.stringify(header, null, 1),
  "with spaces behind": (header) => `${JSON.stringify(header)}   `,
  "metadata last": ({ __metadata__, ...rest }) => JSON.stringify({ ...rest, __metadata__ }),
  "entries backwards": ({ __metadata__, ...rest }) =>
    JSON.stringify({ __metadata__, ...Object.fromEntries(Object.entries(rest).reverse()) }),
  "keys of entries backwards": (header) =>
    JSON.stringify(
      Object.fromEntries(
        Object.entries(header).map(([name, entry]) => [
          name,
          name === "__metadata__" ? entry : Object.fromEntries(Object.entries(entry).reverse()),
        ]),
      ),
    ),
};

Deno.test("a checkpoint makes the same run, however another program has written its header", async () => {
  const service = startService();
  const { send } = service;
  const names = Array.from({ length: 600 }, (_, at) => `v${at}`);
  const variables = names.map((name, at) => ({ name, shape: [1 + at % 3] }));
  const gradients = Object.fromEntries(
    variables.map(({ name, shape: [n = 1] }, at) => [name, Array.from({ length: n }, (_, k) => at - k / 7)]),
  );
  const made = await send("POST", "/v1/runs", { body: { id: "demo", optimizer: "Adam", variables } });
  assert.equal(made.status, 201, await made.text());
  assert.equal((await send("POST", "/v1/runs/demo/gradients", { body: { gradients } })).status, 200);
  const file = await (await send("GET", PATH)).bytes();
  const tensorsOf = async (id: string) => {
    const copy = await (await send("GET", `/v1/runs/${id}/checkpoint`)).bytes();
    return copy.subarray(8 + Number(new DataView(copy.buffer).getBigUint64(0, true)));
  };
  const wanted = await tensorsOf("demo");
  for (const [at, [how, write]] of Object.entries(REWRITTEN).entries()) {
    const restored = await send("PUT", `/v1/runs/copy-${at}/checkpoint`, { body: rewritten(file, write) });
    assert.equal(restored.status, 201, `${how}: ${(await restored.text()).slice(0, 500)}`);
    assert.deepEqual(await tensorsOf(`copy-${at}`), wanted, how);
  }
});

Deno.test("a checkpoint with a name twice in its metadata, or a tensor too few, is refused and makes no run", async () => {
  const service = startService();
  const { send } = service;
  await startRun(service);
  const file = await (await send("GET", PATH)).bytes();
  const twice = rewritten(
    file,
    (header) => JSON.stringify(header).replace('"format":"stepwell"', '"format":"other","format":"stepwell"'),
  );
  const before = service.registry.figures();
  for (const body of [twice, file.subarray(0, file.length - 4)]) {
    const refused = await send("PUT", "/v1/runs/copy/checkpoint", { body });
    assert.equal(refused.status, 400, await refused.text());
  }
  assert.deepEqual(service.registry.figures(), before);
});
