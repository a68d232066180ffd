/** The service under a path prefix: proxies that strip it, pass it on, or tell it in a header. */
import assert from "node:assert/strict";
import { SIGNUM } from "../../support/signum.ts";
import { startRun, startService } from "../support/harness.ts";

const RUN = { optimizer: "SGD", variables: [{ name: "w", shape: [1] }] };
const BODY = { "Content-Type": "application/json" };

/** The Location of each operation that makes something. */
async function locations(
  service: ReturnType<typeof startService>,
  { prefix = "", headers = {}, address = "127.0.0.1" }: {
    prefix?: string;
    headers?: Record<string, string>;
    address?: string;
  } = {},
): Promise<(string | null)[]> {
  const send = async (method: string, path: string, body: unknown) => {
    const request = new Request(`http://localhost:8080${prefix}${path}`, {
      method,
      headers: {
        ...(body instanceof Uint8Array ? { "Content-Type": "application/octet-stream" } : BODY),
        ...headers,
      },
      body: (body instanceof Uint8Array ? body : JSON.stringify(body)) as BodyInit,
    });
    const remoteAddr = { transport: "tcp", hostname: address, port: 1 };
    const response = await service.app.fetch(request, { remoteAddr });
    assert.equal(response.status, 201, await response.text());
    return response.headers.get("Location");
  };
  const checkpoint = await (await service.send("GET", "/v1/runs/demo/checkpoint")).bytes();
  const key = { ...RUN, id: "first" };
  return [
    await send("POST", "/v1/runs", key),
    await send("PUT", "/v1/runs/copy/checkpoint", checkpoint),
    await send("POST", "/v1/optimizers", SIGNUM),
  ];
}

const PATHS = ["/v1/runs/first", "/v1/runs/copy", "/v1/optimizers/Signum"];
const under = (prefix: string) => PATHS.map((path) => prefix + path);

async function withRun(settings: Parameters<typeof startService>[0]) {
  const service = startService(settings);
  await startRun(service);
  return service;
}

Deno.test("Location begins with the prefix whether the proxy strips it or passes it on", async () => {
  for (const prefix of ["", "/a/b"]) {
    const service = await withRun({ STEPWELL_PATH_PREFIX: "/a/b" });
    assert.deepEqual(await locations(service, { prefix }), under("/a/b"));
  }
  assert.deepEqual(await locations(await withRun({})), PATHS);
});

Deno.test("only trusted proxies tell a prefix", async (t) => {
  const cases: [header: string, address: string, wanted: string][] = [
    ["/x", "10.1.2.3", "/x"],
    ["/x/", "::ffff:10.1.2.3", "/x"],
    ["/x, /y", "fd00::7", "/x/y"],
    ["", "10.1.2.3", ""],
    ["/x", "11.1.2.3", "/own"],
    ["/x", "fe00::7", "/own"],
    ["//evil.example", "10.1.2.3", "/own"],
    ["https://evil.example", "10.1.2.3", "/own"],
    ["/../x", "10.1.2.3", "/own"],
    ["/x\\y", "10.1.2.3", "/own"],
  ];
  for (const [header, address, wanted] of cases) {
    await t.step(`${header} of ${address}`, async () => {
      const service = await withRun({
        STEPWELL_PATH_PREFIX: "/own",
        STEPWELL_TRUSTED_PROXIES: "10.0.0.0/8, fd00::/8",
      });
      const headers = { "X-Forwarded-Prefix": header };
      assert.deepEqual(await locations(service, { headers, address }), under(wanted));
    });
  }
  const service = await withRun({});
  assert.deepEqual(await locations(service, { headers: { "X-Forwarded-Prefix": "/x" } }), PATHS);
});

Deno.test("every operation, the page and the document are found under the prefix", async () => {
  const { app } = startService({ STEPWELL_PATH_PREFIX: "/own", STEPWELL_TOKEN: "token" });
  const get = (path: string) => app.request(path);
  for (const path of ["/healthz", "/docs", "/docs/page.js", "/docs/swagger-ui.css", "/openapi.json"]) {
    for (const prefix of ["", "/own"]) {
      const response = await get(prefix + path);
      assert.equal(response.status, 200, prefix + path);
      await response.body?.cancel();
    }
  }
  assert.equal((await get("/own/v1/runs")).status, 401);
  assert.equal((await get("/ownv1/runs")).status, 401);
  const { servers } = await (await get("/openapi.json")).json();
  assert.equal(servers[0].url, "/own");
  const page = await (await get("/docs")).text();
  const links = [...page.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, link]) => link as string);
  assert.ok(links.length >= 3);
  const script = await (await get("/docs/page.js")).text();
  for (const link of [...links, /url: "([^"]+)"/.exec(script)?.[1] as string]) {
    const { pathname } = new URL(link, "https://host/own/docs");
    assert.ok(pathname.startsWith("/own/"), link);
    assert.equal((await get(pathname)).status, 200, link);
  }
});
