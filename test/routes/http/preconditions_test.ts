/** RFC 9110 preconditions on the version of a run. */
import assert from "node:assert/strict";
import { until } from "../../support/waiting.ts";
import { assertProblem, FILE_TYPE, type Service, startRun, startService } from "../support/harness.ts";

const RUN = "/v1/runs/demo";
const STEP = { gradients: { bias: [1, 2, 3] } };

async function withRun(): Promise<Service> {
  const service = startService();
  await startRun(service);
  return service;
}

/** The run of these tests is at "v1". */
const MATCHES: readonly (readonly [header: string, status: number])[] = [
  ['"v1"', 200],
  ["*", 200],
  [' "v0" , "v1" ', 200],
  ['"v0","v1"', 200],
  ['W/"v0", "v1"', 200],
  ['"a,b", "v1"', 200],
  ['"v0"', 412],
  ['"v10"', 412],
  ['W/"v1"', 412],
  ['"V1"', 412],
  ["v1", 400],
  ['"v1', 400],
  ['"v0" "v1"', 400],
  ['"v1", *', 400],
  ["", 400],
  ["'v1'", 400],
];

for (const [header, status] of MATCHES) {
  Deno.test(`If-Match: ${header} gives ${status}`, async () => {
    const { send } = await withRun();
    const response = await send("POST", `${RUN}/gradients`, { body: STEP, headers: { "If-Match": header } });
    assert.equal(response.status, status, await response.text());
    const { version } = await (await send("GET", RUN)).json();
    assert.equal(version, status === 200 ? 2 : 1);
  });
}

Deno.test("the refusal of a weak tag says that weak tags match nothing", async () => {
  const service = startService();
  await startRun(service);
  const headers = { "If-Match": 'W/"v1"' };
  const response = await service.send("POST", "/v1/runs/demo/gradients", {
    headers,
    body: { gradients: {} },
  });
  const { detail } = await assertProblem(response, "version_mismatch", 412);
  assert.match(detail, /the run is at "v1".*a weak tag \(W\/\) in If-Match matches no version \(RFC 9110/);
});

Deno.test("If-None-Match gives 304 with the tag and no body on every GET about a run's state", async () => {
  const { send } = await withRun();
  for (
    const part of [
      "",
      "/variables",
      "/variables?name=bias",
      "/slots",
      "/slots/m",
      "/weights",
      "/optimizer",
      "/steps",
      "/checkpoint",
    ]
  ) {
    for (const tag of ['"v1"', 'W/"v1"', "*", '"v7", "v1"']) {
      for (const method of ["GET", "HEAD"]) {
        const response = await send(method, RUN + part, { headers: { "If-None-Match": tag } });
        assert.equal(response.status, 304, `${method} ${part} ${tag}`);
        assert.equal(response.headers.get("ETag"), '"v1"');
        assert.equal(response.headers.get("Content-Type"), null);
        assert.equal(await response.text(), "");
      }
    }
    const stale = await send("GET", RUN + part, { headers: { "If-None-Match": '"v0"' } });
    assert.equal(stale.status, 200);
    assert.equal(stale.headers.get("ETag"), '"v1"');
    await stale.body?.cancel();
  }
});

Deno.test("If-None-Match does not hide that a resource is unknown", async () => {
  const { send } = await withRun();
  const headers = { "If-None-Match": "*" };
  assert.equal((await send("GET", `${RUN}/slots/nope`, { headers })).status, 404);
  assert.equal((await send("GET", `${RUN}/variables?name=nope`, { headers })).status, 422);
  assert.equal((await send("GET", "/v1/runs/nope", { headers })).status, 404);
});

Deno.test("a wrong version is refused before the body is read, and again after it if the version changed meanwhile", async () => {
  const { send } = await withRun();
  const headers = { "If-Match": '"v1"', "Content-Type": "application/json" };
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const slow = send("POST", `${RUN}/gradients`, { body: readable, headers });
  const quick = await send("POST", `${RUN}/gradients`, { body: STEP, headers });
  assert.equal(quick.status, 200);
  const writer = writable.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(STEP)));
  await writer.close();
  const response = await slow;
  assert.equal(response.status, 412, await response.text());
  assert.equal((await (await send("GET", RUN)).json()).version, 2);
});

Deno.test("a run that is deleted, recreated or replaced while gradients arrive gets none of them", async () => {
  const service = await withRun();
  const saved = await (await service.send("GET", `${RUN}/checkpoint`)).bytes();
  for (const how of ["deleted", "made anew", "replaced"]) {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const slow = service.send("POST", `${RUN}/gradients`, {
      body: readable,
      headers: { "Content-Type": "application/json" },
    });
    await until(() => service.uploads.open === 1);
    if (how === "replaced") {
      const replaced = await service.send("PUT", `${RUN}/checkpoint`, { body: saved });
      assert.equal(replaced.status, 200, await replaced.text());
    } else {
      await service.send("DELETE", RUN);
      if (how === "made anew") await startRun(service);
    }
    const writer = writable.getWriter();
    await writer.write(new TextEncoder().encode(JSON.stringify(STEP)));
    await writer.close();
    if (how === "replaced") await assertProblem(await slow, "run_replaced", 409);
    else await assertProblem(await slow, "unknown_run", 404);
    if (how === "deleted") await startRun(service);
  }
  const { version, iterations } = await (await service.send("GET", RUN)).json();
  assert.deepEqual([version, iterations], [2, 1]);
  assert.deepEqual(service.registry.figures().stagingBytes, 0);
});

Deno.test("exactly one of many changes with the same If-Match is made", async () => {
  const { send } = await withRun();
  const headers = { "If-Match": '"v1"' };
  const statuses = await Promise.all(
    Array.from(
      { length: 20 },
      async () => (await send("POST", `${RUN}/gradients`, { body: STEP, headers })).status,
    ),
  );
  assert.equal(statuses.filter((status) => status === 200).length, 1);
  assert.equal(statuses.filter((status) => status === 412).length, 19);
  assert.equal((await (await send("GET", RUN)).json()).iterations, 2);
});

Deno.test("HEAD answers with the headers of GET and releases the copy", async () => {
  const service = await withRun();
  for (const Accept of [FILE_TYPE, "application/json"]) {
    const get = await service.send("GET", `${RUN}/variables`, { headers: { Accept } });
    const head = await service.send("HEAD", `${RUN}/variables`, { headers: { Accept } });
    assert.equal(await head.text(), "");
    await get.bytes();
    for (const name of ["Content-Length", "Content-Type", "ETag", "Vary"]) {
      assert.equal(head.headers.get(name), get.headers.get(name), name);
    }
  }
  await service.send("POST", `${RUN}/gradients`, { body: STEP });
  assert.equal(service.registry.figures().publishedBytes, 0);
});
