/**
 * Both doors give the same answers: status, headers and body, for requests to every operation and for everything that
 * the suite of rejections refuses. Two equal services get them in the same order, one through each door.
 */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { type Comparable, comparable, exchange, openDoor, type Sent } from "../support/doors.ts";
import {
  f32,
  file,
  FILE_TYPE,
  GRADIENTS,
  JSON_TYPE,
  SPEC,
  startRun,
  startService,
} from "../support/harness.ts";
import { TARGETS } from "../support/rejection_targets.ts";
import { common, files } from "../support/rejections.ts";

interface Asked {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

function sentOf({ method, path, headers = {}, body }: Asked): Sent {
  if (body === undefined) return { method, path, headers, body };
  const bytes = body instanceof Uint8Array
    ? body
    : new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body));
  const type = body instanceof Uint8Array ? FILE_TYPE : JSON_TYPE;
  return {
    method,
    path,
    headers: { "Content-Type": type, "Content-Length": String(bytes.length), ...headers },
    body: bytes,
  };
}

/** Without the bodies in the message: some have megabytes. */
function assertSame(actual: Comparable, expected: Comparable): void {
  assert.deepEqual({ ...actual, body: "" }, { ...expected, body: "" });
  if (!isDeepStrictEqual(actual.body, expected.body)) {
    assert.deepEqual(
      JSON.stringify(actual.body).slice(0, 1000),
      JSON.stringify(expected.body).slice(0, 1000),
    );
    assert.fail("The bodies differ beyond their beginnings");
  }
}

async function compare(t: Deno.TestContext, asked: readonly Asked[]): Promise<void> {
  const services = [startService(), startService()] as const;
  await Promise.all(services.map((service) => startRun(service)));
  {
    await using deno = openDoor("deno", services[0].app, services[0]);
    await using lane = openDoor("lane", services[1].app, services[1]);
    for (const each of asked) {
      await t.step(each.what, async () => {
        const sent = sentOf(each);
        const [expected, actual] = [await exchange(deno.port, sent), await exchange(lane.port, sent)];
        assertSame(await comparable(actual), await comparable(expected));
      });
    }
  }
  const [denoLines, laneLines] = services.map(({ lines }) => lines.map(({ request_id: _, ...line }) => line));
  assert.deepEqual(laneLines, denoLines);
  for (const service of services) service.losses.close();
}

for (const [operation, target] of Object.entries(TARGETS)) {
  const rows = [...(target.good === undefined ? files() : common(target)), ...target.rejections];
  Deno.test(`both doors refuse the same of ${operation}`, (t) =>
    compare(
      t,
      rows.map(({ what, body, headers, path = "" }) => ({
        what,
        method: target.method,
        path: path.startsWith("/") ? path : target.path + path,
        body,
        ...headers && { headers },
      })),
    ));
}

const RUN = "/v1/runs/demo";
const GOOD: readonly Omit<Asked, "what">[] = [
  { method: "GET", path: "/healthz" },
  { method: "HEAD", path: "/healthz" },
  { method: "GET", path: "/readyz" },
  { method: "GET", path: "/openapi.json" },
  { method: "GET", path: "/docs" },
  { method: "GET", path: "/docs/swagger-ui.css" },
  { method: "GET", path: "/docs/nothing" },
  { method: "GET", path: "/v1/catalog" },
  { method: "POST", path: "/v1/runs", body: { ...SPEC, id: "other" } },
  { method: "POST", path: "/v1/runs", body: { ...SPEC, id: "other" } },
  { method: "GET", path: "/v1/runs?limit=1" },
  { method: "GET", path: RUN },
  { method: "HEAD", path: RUN },
  { method: "GET", path: RUN, headers: { "If-None-Match": '"v1"' } },
  { method: "GET", path: `${RUN}/variables` },
  { method: "GET", path: `${RUN}/variables`, headers: { Accept: FILE_TYPE } },
  { method: "HEAD", path: `${RUN}/variables`, headers: { Accept: FILE_TYPE } },
  { method: "GET", path: `${RUN}/variables`, headers: { "If-None-Match": '"v1"' } },
  { method: "GET", path: `${RUN}/variables?name=emb&name=scale` },
  { method: "GET", path: `${RUN}/variables?name=nothing` },
  { method: "GET", path: `${RUN}/variables?after_iteration=1` },
  { method: "GET", path: `${RUN}/variables`, headers: { Accept: "text/html" } },
  {
    method: "PUT",
    path: `${RUN}/variables`,
    body: { variables: { scale: 2 } },
    headers: { Prefer: "return=representation" },
  },
  { method: "POST", path: `${RUN}/variables/gather`, body: { name: "emb", indices: [1, 1] } },
  { method: "POST", path: `${RUN}/gradients`, body: { gradients: GRADIENTS } },
  { method: "POST", path: `${RUN}/gradients?dry_run=true`, body: { gradients: GRADIENTS } },
  { method: "POST", path: `${RUN}/gradients`, body: file({ bias: f32([3], [1, 2, 3]) }) },
  {
    method: "POST",
    path: `${RUN}/gradients`,
    body: file({ bias: f32([3], [1, 2, 3]) }),
    headers: { Accept: FILE_TYPE, Prefer: "return=representation" },
  },
  {
    method: "POST",
    path: `${RUN}/gradients`,
    body: { gradients: GRADIENTS },
    headers: { "Idempotency-Key": "a" },
  },
  {
    method: "POST",
    path: `${RUN}/gradients`,
    body: { gradients: GRADIENTS },
    headers: { "Idempotency-Key": "a" },
  },
  { method: "POST", path: `${RUN}/gradients`, body: { gradients: {} }, headers: { "Idempotency-Key": "a" } },
  {
    method: "POST",
    path: `${RUN}/gradients`,
    body: { gradients: GRADIENTS },
    headers: { "If-Match": '"v1"' },
  },
  { method: "POST", path: `${RUN}/minimize`, body: { loss: "sum(scale * scale)" } },
  { method: "POST", path: `${RUN}/compute-gradients`, body: { loss: "sum(scale * scale)" } },
  { method: "GET", path: `${RUN}/steps` },
  { method: "GET", path: `${RUN}/rounds/current` },
  { method: "DELETE", path: `${RUN}/rounds/current/contributions/nobody` },
  { method: "GET", path: `${RUN}/slots` },
  { method: "GET", path: `${RUN}/slots/m` },
  { method: "GET", path: `${RUN}/slots/nothing` },
  { method: "GET", path: `${RUN}/weights` },
  { method: "PUT", path: `${RUN}/weights`, body: { weights: [] } },
  { method: "GET", path: `${RUN}/optimizer` },
  { method: "PATCH", path: `${RUN}/optimizer`, body: { config: { learning_rate: 0.5 } } },
  { method: "GET", path: `${RUN}/checkpoint` },
  { method: "PUT", path: `${RUN}/checkpoint`, body: new Uint8Array(9) },
  { method: "POST", path: "/v1/optimizers", body: { class_name: "Mine", dense: ["w = w - g"] } },
  { method: "GET", path: "/v1/optimizers/Mine" },
  { method: "DELETE", path: "/v1/optimizers/Mine" },
  { method: "DELETE", path: "/v1/runs/other" },
  { method: "GET", path: "/v1/runs/other" },
  { method: "GET", path: "/v1/nothing" },
  { method: "GET", path: "/v1/runs/../../healthz" },
  { method: "GET", path: "/v1/runs/%64emo" },
  { method: "GET", path: "//v1/runs" },
  { method: "PATCH", path: "/healthz" },
  { method: "OPTIONS", path: RUN },
  { method: "FOO", path: RUN },
  { method: "get", path: "/healthz" },
  { method: "GET", path: "/healthz", headers: { Host: "evil.example" } },
  { method: "GET", path: "/healthz", headers: { Origin: "https://evil.example" } },
  { method: "GET", path: "/healthz", headers: { "Sec-Fetch-Site": "cross-site" } },
  { method: "GET", path: "/healthz", headers: { "X-Request-Id": "mine" } },
  { method: "GET", path: "/healthz", headers: { "Accept-Encoding": "gzip, br" } },
  { method: "GET", path: RUN, headers: { Authorization: "Bearer x" } },
];

Deno.test("both doors answer the same of every operation", (t) =>
  compare(t, GOOD.map((asked, index) => ({ what: `${index} ${asked.method} ${asked.path}`, ...asked }))));

/** Streams, and figures that are not the same twice: with tests of their own. */
const ELSEWHERE = ["get_events", "get_metrics"];

Deno.test("the requests that both doors are asked cover every operation", () => {
  const { app } = startService();
  const { paths = {} } = app.getOpenAPIDocument({ openapi: "3.1.0", info: { title: "", version: "" } });
  const isAsked = (path: string, method: string) => {
    const pattern = new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}(\\?.*)?$`);
    return GOOD.some((asked) => asked.method === method.toUpperCase() && pattern.test(asked.path));
  };
  const missing = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations as Record<string, { operationId: string }>)
      .filter(([method]) => !isAsked(path, method)).map(([, { operationId }]) => operationId)
  );
  assert.deepEqual(missing.sort(), ELSEWHERE);
});
