/**
 * Steps that the lane answers without the app: they are answered as the app does, to the byte, and only what is plain
 * takes this way.
 */
import assert from "node:assert/strict";
import { directAnswers } from "../../../routes/direct.ts";
import { serveLane } from "../../../routes/lane/lane.ts";
import type { Settings } from "../../../src/config.ts";
import { StepwellError } from "../../../src/errors.ts";
import type { RunRegistry } from "../../../src/run/api/run_registry.ts";
import { comparable, exchange, openDoor, type Sent } from "../support/doors.ts";
import { f32, file, FILE_TYPE, type Service, startRun, startService } from "../support/harness.ts";
import { Client } from "./support/lane.ts";
import { until } from "../../support/waiting.ts";

const STEP = "/v1/runs/demo/gradients";
const BODY = file({ bias: f32([3], [1, 2, 3]) });

/** Serves through the lane, and counts the requests that came and went without the app. */
function serveDirect(service: Service) {
  const direct = directAnswers(service, () => "direct");
  const taken: string[] = [];
  const server = serveLane({ hostname: "127.0.0.1", port: 0 }, {
    ...service,
    handler: (request, info) => {
      taken.push("app");
      return service.app.fetch(request, info);
    },
    direct: direct && ((head, framing) => {
      const call = direct(head, framing);
      return call && ((body, address) => {
        const answer = call(body, address);
        if (answer) taken.push("direct");
        return answer;
      });
    }),
    newId: () => "lane",
    onFailure: (error) => {
      throw error;
    },
  });
  return { taken, port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

interface Case {
  readonly method?: "GET" | "HEAD";
  readonly body?: Uint8Array;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function sentOf({ method, body = BODY, path = STEP, headers = {} }: Case): Sent {
  if (method) return { method, path, headers, body: undefined };
  const type = { "Content-Type": FILE_TYPE, "Content-Length": String(body.length) };
  return { method: "POST", path, headers: { ...type, ...headers }, body };
}

async function waysOf(
  cases: readonly Case[],
  settings: Partial<Settings> = {},
  change: (service: Service) => Promise<unknown> = () => Promise.resolve(),
): Promise<readonly string[]> {
  const services = [startService(settings), startService(settings)] as const;
  for (const service of services) await change(service);
  await using deno = openDoor("deno", services[0].app, services[0]);
  await using lane = serveDirect(services[1]);
  for (const each of cases) {
    const [expected, actual] = [
      await exchange(deno.port, sentOf(each)),
      await exchange(lane.port, sentOf(each)),
    ];
    assert.ok(actual.headers.get("x-request-id"));
    assert.deepEqual(await comparable(actual), await comparable(expected));
  }
  const [expected, actual] = services.map(({ lines }) => lines.map(({ request_id: _, ...line }) => line));
  assert.deepEqual(actual, expected);
  const [counted, direct] = services.map((service) =>
    service.metrics.render(service).replaceAll(/^(process_resident|stepwell_arena).*$/gm, "")
  );
  assert.equal(direct, counted);
  return lane.taken;
}

const all = (way: string, { length }: readonly Case[]) => Array<string>(length).fill(way);

Deno.test("plain steps are made without the app, and answered alike", async () => {
  const cases: Case[] = [
    {},
    {},
    { headers: { "User-Agent": "x", Accept: "*/*", "Accept-Encoding": "gzip", Connection: "keep-alive" } },
    { headers: { "Content-Type": "application/octet-stream" } },
    {
      body: file({ bias: f32([3], [1, 2, 3]) }, {
        weight: "2",
        client_id: "a",
        base_iteration: "1",
        loss: "0.5",
      }),
    },
    { body: file({ bias: f32([3], [1, 2, 3]) }, { format: "np" }) },
    {
      body: file({ kernel: f32([2, 3], [1, 2, 3, 4, 5, 6]), scale: f32([], [1]), bias: f32([3], [1, 2, 3]) }),
    },
    { body: file({ bias: f32([3], [3e38, 3e38, 1]) }) },
    { headers: { Host: "127.0.0.1" } },
  ];
  assert.deepEqual(await waysOf(cases, {}, startRun), all("direct", cases));
});

const VALUES = { method: "GET", path: "/v1/runs/demo/variables" } as const;

Deno.test("values of a small run are given without the app, and 304 to those who have them", async () => {
  const accept = { Accept: FILE_TYPE };
  const cases: Case[] = [
    { ...VALUES, headers: accept },
    { ...VALUES, headers: { Accept: "application/octet-stream", "User-Agent": "x" } },
    { ...VALUES, headers: { ...accept, "If-None-Match": '"v1"' } },
    { ...VALUES, headers: { ...accept, "If-None-Match": 'W/"v1"' } },
    { ...VALUES, headers: { ...accept, "If-None-Match": '"v0"' } },
    {},
    { ...VALUES, headers: { ...accept, "If-None-Match": '"v1"' } },
  ];
  assert.deepEqual(await waysOf(cases, {}, startRun), all("direct", cases));
});

Deno.test("other reads of values are the app's", async () => {
  const accept = { Accept: FILE_TYPE };
  const cases: Case[] = [
    VALUES,
    { ...VALUES, method: "HEAD", headers: accept },
    { ...VALUES, path: `${VALUES.path}?name=bias`, headers: accept },
    { ...VALUES, path: "/v1/runs/nothing/variables", headers: accept },
    { ...VALUES, headers: { Accept: "text/html" } },
    { ...VALUES, headers: { Accept: `${FILE_TYPE};q=0.5, application/json` } },
    { ...VALUES, headers: { ...accept, "If-None-Match": "*" } },
    { ...VALUES, headers: { ...accept, "If-None-Match": '"v0", "v1"' } },
    { ...VALUES, headers: { ...accept, "If-None-Match": "v1" } },
    { ...VALUES, headers: { ...accept, Prefer: "wait=1" } },
    { ...VALUES, headers: { ...accept, Host: "evil.example" } },
  ];
  assert.deepEqual(await waysOf(cases, {}, startRun), all("app", cases));
  const large = (service: Service) =>
    service.send("POST", "/v1/runs", {
      body: { id: "demo", optimizer: "SGD", variables: [{ name: "w", shape: [20_000] }] },
    });
  assert.deepEqual(await waysOf([{ ...VALUES, headers: accept }], {}, large), ["app"]);
});

Deno.test("whatever is not plain, or is refused, is the app's", async () => {
  const cases: Case[] = [
    { path: `${STEP}?dry_run=true` },
    { path: "/v1/runs/nothing/gradients" },
    { path: "/v1/runs/%64emo/gradients" },
    { headers: { "Idempotency-Key": "a" } },
    { headers: { "If-Match": '"v0"' } },
    { headers: { Prefer: "return=representation" } },
    { headers: { "X-Request-Id": "mine" } },
    { headers: { Origin: "https://evil.example" } },
    { headers: { "Content-Encoding": "gzip" } },
    { headers: { "Content-Type": "text/plain" } },
    { headers: { Host: "evil.example" } },
    { headers: { Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" } },
    { body: file({ bias: f32([3], [1, NaN, 3]) }) },
    { body: file({ bias: f32([2], [1, 2]) }) },
    { body: file({ nothing: f32([3], [1, 2, 3]) }) },
    { body: file({}) },
    { body: file({ bias: f32([3], [1, 2, 3]) }, { weight: "0" }) },
    { body: file({ bias: f32([3], [1, 2, 3]) }, { base_iteratoin: "1" }) },
    { body: BODY.subarray(0, -1) },
    { body: new Uint8Array([...BODY, 0]) },
    { body: new Uint8Array(100) },
    { body: new Uint8Array(65_000) },
    { body: new Uint8Array(70_000) },
  ];
  assert.deepEqual(await waysOf(cases, {}, startRun), all("app", cases));
});

Deno.test("rounds, settings that the app alone heeds, and a service that stops are the app's", async () => {
  const rounds = (service: Service) =>
    service.send("POST", "/v1/runs", {
      body: {
        id: "demo",
        optimizer: "SGD",
        variables: [{ name: "bias", shape: [3] }],
        aggregation: { mode: "round", quorum: 2 },
      },
    });
  assert.deepEqual(await waysOf([{}, {}], {}, rounds), ["app", "app"]);
  for (
    const settings of [
      { STEPWELL_CORS_ORIGINS: "https://example.org" },
      { STEPWELL_PATH_PREFIX: "/stepwell" },
      { STEPWELL_REQUESTS_PER_SECOND: 1000 },
      { STEPWELL_BODY_BYTES_MAX: 50 },
    ]
  ) assert.deepEqual(await waysOf([{}], settings, startRun), ["app"], JSON.stringify(settings));
  const stopping = new AbortController();
  const service = startService({}, { stopping: stopping.signal });
  await startRun(service);
  await using lane = serveDirect(service);
  stopping.abort();
  assert.equal((await exchange(lane.port, sentOf({}))).status, 503);
  assert.deepEqual(lane.taken, ["app"]);
});

Deno.test("a token is asked for: with the right one the app is not needed, with another it refuses", async () => {
  const STEPWELL_TOKEN = "sixteen-letters.";
  const authorized = { Authorization: `Bearer ${STEPWELL_TOKEN}` };
  const service = startService({ STEPWELL_TOKEN });
  for (
    const [path, body] of [["/v1/runs", {
      id: "demo",
      optimizer: "SGD",
      variables: [{ name: "bias", shape: [3] }],
    }]] as const
  ) {
    assert.equal((await service.send("POST", path, { body, headers: authorized })).status, 201);
  }
  await using lane = serveDirect(service);
  const statuses = [];
  for (
    const headers of [authorized, {}, { Authorization: "Bearer sixteen-letters!" }, {
      Authorization: "Basic x",
    }, authorized]
  ) {
    statuses.push((await exchange(lane.port, sentOf({ headers }))).status);
  }
  assert.deepEqual(statuses, [200, 401, 400, 400, 200]);
  assert.deepEqual(lane.taken, ["direct", "app", "app", "app", "direct"]);
});

Deno.test("heads that change by a byte between requests are read anew", async () => {
  const service = startService();
  await startRun(service);
  await using lane = serveDirect(service);
  using client = await Client.connect(lane.port);
  const body = String.fromCharCode(...BODY);
  const head = (id: string) =>
    `POST /v1/runs/${id}/gradients HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${FILE_TYPE}\r\nContent-Length: ${body.length}\r\n\r\n`;
  const ids = ["demo", "demo", "dema", "demo", "demo"];
  await client.send(ids.map((id) => head(id) + body).join(""));
  for (const id of ids) {
    await client.until(
      new RegExp(`^HTTP/1.1 ${id === "demo" ? 200 : 404} [^]*?\\r\\n\\r\\n\\{[^\\r]*?\\}(?=HTTP|$)`),
    );
  }
  assert.deepEqual(lane.taken, ids.map((id) => id === "demo" ? "direct" : "app"));
});

Deno.test("a body that comes behind its head is waited for; one that does not come soon is the app's", async () => {
  const service = startService();
  await startRun(service);
  await using lane = serveDirect(service);
  const body = String.fromCharCode(...BODY);
  const head =
    `POST ${STEP} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${FILE_TYPE}\r\nContent-Length: ${body.length}\r\n\r\n`;
  using client = await Client.connect(lane.port);
  await client.send(head + body);
  await client.until(/"warnings":\[\]\}/);
  await client.send(head + body.slice(0, 9));
  await until(() => service.uploads.open === 1);
  await client.send(body.slice(9) + head + body);
  await client.until(/"warnings":\[\]\}/);
  await client.until(/"version":4,.*"warnings":\[\]\}/s);
  assert.deepEqual(lane.taken, ["direct", "app", "direct"]);
});

Deno.test("a step that cannot be put on disk is not told of, and not made a second time", async () => {
  const answers = [];
  for (const way of ["app", "direct"] as const) {
    const plain = startService();
    await startRun(plain);
    const registry: RunRegistry = new Proxy(plain.registry, {
      get: (target, name) => {
        const value = Reflect.get(target, name);
        if (name !== "lease") return typeof value === "function" ? value.bind(target) : value;
        return (id: string) => {
          const lease = target.lease(id);
          return {
            release: () => lease.release(),
            [Symbol.dispose]: () => lease.release(),
            durable: () => Promise.reject(new StepwellError("storage_failed", "the disk is gone", [])),
          };
        };
      },
    });
    const service = startService({}, { registry });
    await using lane = serveDirect(service);
    const headers: Record<string, string> = way === "app" ? { "X-Request-Id": "mine" } : {};
    answers.push(await comparable(await exchange(lane.port, sentOf({ headers }))));
    assert.deepEqual(lane.taken, [way]);
    assert.equal((await plain.registry.open("demo")).version, 2);
    answers.push(
      service.lines.map(({ request_id: _, client_request_id: __, ...line }) => line),
    );
  }
  const [app, appLines, direct, directLines] = answers;
  assert.deepEqual([direct, directLines], [app, appLines]);
});
