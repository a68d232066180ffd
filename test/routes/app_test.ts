/** Common features of all answers: request ids, log lines, headers, problems of unexpected errors, metrics, docs. */
import assert from "node:assert/strict";
import type { RunRegistry } from "../../src/run/api/run_registry.ts";
import { assertProblem, GRADIENTS, SPEC, startRun, startService } from "./support/harness.ts";

/** A registry that throws unexpected errors. */
const broken = (message: string): RunRegistry =>
  new Proxy({} as RunRegistry, {
    get: () => () => {
      throw new Error(message);
    },
  });

Deno.test("an unexpected error gets a general answer, and its text goes to the log under the request id", async () => {
  const { send, lines } = startService({}, { registry: broken("secret detail") });
  const response = await send("GET", "/v1/runs/demo", { headers: { "X-Request-Id": "abc-1" } });
  const problem = await assertProblem(response, "internal", 500);
  assert.doesNotMatch(JSON.stringify(problem), /secret/);
  assert.deepEqual(problem.issues, []);
  const [error, access] = lines;
  assert.equal(error?.["level"], "error");
  assert.deepEqual([error?.["request_id"], error?.["client_request_id"]], [problem.request_id, "abc-1"]);
  assert.match(String(error?.["error"]), /Error: secret detail\n\s+at /);
  assert.deepEqual([access?.["status"], access?.["code"]], [500, "internal"]);
});

Deno.test("every answer has a new request id; the caller's is beside it in the log, if it is valid", async () => {
  const { send, lines } = startService();
  for (const path of ["/healthz", "/nope", "/v1/runs/nope", "/docs", "/v1/runs?x=1"]) {
    const id = async (headers: Record<string, string>) => {
      const response = await send("GET", path, { headers });
      await response.text();
      return response.headers.get("X-Request-Id") ?? "";
    };
    const seen = new Set<string>();
    for (const said of ["my-id_1", "my-id_1", "a b", "<script>", "x".repeat(256), '"', undefined]) {
      const own = await id(said === undefined ? {} : { "X-Request-Id": said });
      assert.match(own, /^[0-9a-f-]{36}$/);
      const { request_id, client_request_id } = lines.at(-1) ?? {};
      assert.deepEqual([request_id, client_request_id], [own, said === "my-id_1" ? said : undefined]);
      seen.add(own);
    }
    assert.equal(seen.size, 7);
  }
});

Deno.test("every request makes one log line with the name of the token, without paths, gradients or tokens", async () => {
  const service = startService({ STEPWELL_TOKEN: "token-12345" });
  const headers = { Authorization: "Bearer token-12345", "X-Request-Id": "r1" };
  const body = { gradients: { scale: 0.123456789 } };
  await service.send("POST", "/v1/runs", { body: { ...SPEC, id: "demo" }, headers });
  await service.send("POST", "/v1/runs/demo/gradients?dry_run=true", { body, headers });
  await service.send("GET", "/v1/runs/nope/variables?name=private", { headers });
  await service.send("GET", "/a/private/path", { headers });
  assert.deepEqual(service.lines.map(({ bytes_out: _, request_id: __, ...line }) => line), [
    line({ method: "POST", route: "/v1/runs", status: 201, bytes_in: 285 }),
    line({ method: "POST", route: "/v1/runs/{run}/gradients", run: "demo", status: 200, bytes_in: 35 }),
    line({ method: "GET", route: "/v1/runs/{run}/variables", run: "nope", status: 404, code: "unknown_run" }),
    line({ method: "GET", route: "/*", status: 404, code: "unknown_route" }),
  ]);
  assert.doesNotMatch(JSON.stringify(service.lines), /token-12345|0\.1234|private/);
});

function line(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    level: "info",
    client_request_id: "r1",
    token: "default",
    address: "127.0.0.1",
    run: undefined,
    code: undefined,
    ms: 0,
    bytes_in: 0,
    ...fields,
  };
}

Deno.test("STEPWELL_LOG=errors logs only the service's own errors", async () => {
  const { send, lines } = startService({ STEPWELL_LOG: "errors" });
  await send("GET", "/healthz");
  await send("GET", "/v1/runs/nope");
  assert.deepEqual(lines, []);
  const failing = startService({ STEPWELL_LOG: "errors" }, { registry: broken("x") });
  await failing.send("GET", "/v1/runs");
  assert.equal(failing.lines.length, 1);
});

Deno.test("answers forbid sniffing, framing and scripts", async () => {
  const { send } = startService();
  for (const path of ["/healthz", "/nope", "/v1/runs", "/docs"]) {
    const { headers } = await send("GET", path);
    assert.equal(headers.get("X-Content-Type-Options"), "nosniff", path);
    assert.equal(headers.get("X-Frame-Options"), "DENY", path);
    const policy = headers.get("Content-Security-Policy") ?? "";
    assert.match(policy, /^default-src 'none'; .*frame-ancestors 'none'$/);
    assert.equal(policy.includes("script-src"), path === "/docs");
  }
});

Deno.test("a service that was told to stop still serves reads, refuses changes, and is not ready", async () => {
  const stopping = new AbortController();
  const service = startService({}, { stopping: stopping.signal });
  await startRun(service);
  stopping.abort();
  for (
    const [method, path, body] of [
      ["POST", "/v1/runs", SPEC],
      ["POST", "/v1/runs/demo/gradients", { gradients: GRADIENTS }],
      ["DELETE", "/v1/runs/demo", undefined],
    ] as const
  ) {
    const response = await service.send(method, path, { body });
    assert.equal(response.headers.get("Retry-After"), "1");
    await assertProblem(response, "shutting_down", 503);
  }
  await assertProblem(await service.send("GET", "/readyz"), "shutting_down", 503);
  assert.equal((await service.send("GET", "/healthz")).status, 200);
  assert.equal((await (await service.send("GET", "/v1/runs/demo")).json()).version, 1);
});

Deno.test("get_metrics counts requests by route and status, and reports runs and memory", async () => {
  const service = startService();
  await startRun(service);
  await service.send("GET", "/v1/runs/demo");
  await service.send("GET", "/v1/runs/nope");
  await service.send("GET", "/v1/runs/nope2");
  await service.send("BREW", "/coffee");
  const response = await service.send("GET", "/metrics");
  assert.equal(response.headers.get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  const text = await response.text();
  const samples = new Map<string, number>();
  for (const line of text.trimEnd().split("\n")) {
    if (line.startsWith("#")) continue;
    const sample = /^([a-z_]+(?:\{(?:[a-z]+="[^"]*",?)+\})?) (\d+(?:\.\d+)?(?:e-?\d+)?)$/.exec(line);
    assert.ok(sample, line);
    samples.set(sample[1] ?? "", Number(sample[2]));
  }
  const count = (method: string, route: string, status: number) =>
    samples.get(`stepwell_requests_total{method="${method}",route="${route}",status="${status}"}`);
  assert.equal(count("POST", "/v1/runs", 201), 1);
  assert.equal(count("GET", "/v1/runs/{run}", 200), 1);
  assert.equal(count("GET", "/v1/runs/{run}", 404), 2);
  assert.equal(count("other", "/*", 404), 1);
  assert.deepEqual(
    ["steps_total", "runs", "run_bytes", "uploads", "uptime_seconds"].map((name) =>
      samples.get(`stepwell_${name}`)
    ),
    [1, 1, 18 * 4 * 3, 0, 1.5],
  );
  assert.ok((samples.get("stepwell_body_bytes_total") ?? 0) > 300);
});

Deno.test("/docs loads nothing from another origin", async () => {
  const { send } = startService();
  const page = await (await send("GET", "/docs")).text();
  const links = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link ?? "");
  assert.equal(links.length, 3);
  for (const link of links) {
    const response = await send("GET", link);
    assert.equal(response.status, 200, link);
    assert.match(
      response.headers.get("Content-Type") ?? "",
      link.endsWith(".css") ? /^text\/css/ : /^text\/javascript/,
    );
    assert.ok((await response.text()).length > 50);
  }
  assert.doesNotMatch(page, /https?:\/\//);
});
