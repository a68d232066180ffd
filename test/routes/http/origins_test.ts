/** Pages of other origins: refused unless the settings name them; then they get what CORS asks for. */
import assert from "node:assert/strict";
import { HEADER_NAMES } from "../../../routes/http/headers.ts";
import { isSameOrigin } from "../../../routes/http/origins.ts";
import { assertProblem, GRADIENTS, startRun, startService, stateOf } from "../support/harness.ts";
import { TARGETS } from "../support/rejection_targets.ts";

const PAGE = "https://page.example";
const PATH = "/v1/runs/demo/gradients";

/** What browsers send for pages of other origins. */
const FOREIGN: readonly Readonly<Record<string, string>>[] = [
  { Origin: "http://evil.example" },
  { Origin: "http://localhost:3000", "Sec-Fetch-Site": "same-site" },
  { Origin: "https://localhost:8080" },
  { Origin: "null", "Sec-Fetch-Site": "cross-site" },
  { Origin: "null" },
  { Origin: "" },
  { Origin: `${PAGE}.evil.example` },
  { Origin: "http://localhost", "Sec-Fetch-Site": "cross-site" },
  { "Sec-Fetch-Site": "cross-site" },
  { "Sec-Fetch-Site": "same-site" },
  { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" },
];

Deno.test("pages of other origins change and read nothing, whatever the service allows to others", async () => {
  for (const origins of ["", PAGE]) {
    const service = startService({ STEPWELL_CORS_ORIGINS: origins });
    await startRun(service);
    const before = await stateOf(service);
    const all = [
      ...Object.values(TARGETS).map(({ method, path, good }) => [method, path, good] as const),
      ...["", "/variables", "/checkpoint", "/events"].map((path) => ["GET", `/v1/runs/demo${path}`] as const),
      ...["/v1/runs", "/metrics", "/healthz", "/nope"].map((path) => ["GET", path] as const),
      ["DELETE", "/v1/runs/demo"] as const,
    ];
    for (const [method, path, body] of all) {
      for (const headers of FOREIGN) {
        const response = await service.send(method, path, { body, headers });
        assert.equal(response.headers.get("Access-Control-Allow-Origin"), null);
        await assertProblem(response, "origin_not_allowed", 403);
      }
    }
    for (const headers of FOREIGN) {
      const asks = { ...headers, "Access-Control-Request-Method": "POST" };
      const preflight = await service.send("OPTIONS", PATH, { headers: asks });
      await assertProblem(preflight, "origin_not_allowed", 403);
    }
    assert.equal(await stateOf(service), before);
  }
});

Deno.test("the service's own pages, programs and links to the documents are served", async () => {
  const service = startService();
  await startRun(service);
  for (
    const headers of [
      {},
      { "Sec-Fetch-Site": "none" },
      { Origin: "http://localhost", "Sec-Fetch-Site": "same-origin" },
      { Origin: "https://LOCALHOST", Host: "localhost" },
      { Origin: "http://127.0.0.1:8080", Host: "127.0.0.1:8080" },
    ]
  ) {
    const body = { gradients: GRADIENTS };
    assert.equal((await service.send("POST", PATH, { body, headers })).status, 200, JSON.stringify(headers));
  }
  const visit = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
  };
  assert.equal((await service.send("GET", "/docs", { headers: visit })).status, 200);
});

Deno.test("isSameOrigin() compares host and port, and knows the ports of http and https", () => {
  const same = [["http://a", "a"], ["http://a:80", "a"], ["https://a", "A:443"], [
    "https://a:8",
    "a:8",
  ]] as const;
  const other = [["http://a", "a:443"], ["http://a:8", "a"], ["http://b", "a"], ["a", "a"], [
    "http://",
    "",
  ]] as const;
  for (const [origin, host] of same) assert.ok(isSameOrigin(origin, host), origin);
  for (const [origin, host] of other) assert.ok(!isSameOrigin(origin, host), origin);
});

Deno.test("a page of an allowed origin gets preflights, Vary and the headers of answers, and no credentials", async () => {
  const service = startService({ STEPWELL_CORS_ORIGINS: `http://localhost:3000, ${PAGE}` });
  await startRun(service);
  const asks = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,idempotency-key,authorization",
  };
  for (const origin of [PAGE, "http://localhost:3000"]) {
    const preflight = await service.send("OPTIONS", PATH, { headers: { Origin: origin, ...asks } });
    const told = Object.fromEntries(preflight.headers);
    assert.equal(preflight.status, 204);
    assert.equal(told["access-control-allow-origin"], origin);
    assert.equal(told["access-control-allow-credentials"], undefined);
    assert.match(told["vary"] ?? "", /Origin/);
    for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]) {
      assert.ok(told["access-control-allow-methods"]?.split(",").includes(method), method);
    }
    assert.equal(told["access-control-allow-headers"], asks["Access-Control-Request-Headers"]);
  }
  const page = { Origin: PAGE, "Sec-Fetch-Site": "cross-site" };
  for (
    const [response, status] of [
      [await service.send("POST", PATH, { body: { gradients: GRADIENTS }, headers: page }), 200],
      [await service.send("GET", "/v1/runs/nope", { headers: page }), 404],
      [await service.send("GET", "/v1/runs/demo/variables", { headers: page }), 200],
    ] as const
  ) {
    assert.equal(response.status, status);
    assert.equal(response.headers.get("Access-Control-Allow-Origin"), PAGE);
    assert.equal(response.headers.get("Access-Control-Allow-Credentials"), null);
    assert.match(response.headers.get("Vary") ?? "", /Origin/);
    assert.equal(response.headers.get("Access-Control-Expose-Headers"), HEADER_NAMES.join(","));
  }
  // A cache must not give a program's answer to a page.
  assert.match((await service.send("GET", "/v1/runs/demo")).headers.get("Vary") ?? "", /Origin/);
  const options = await service.send("OPTIONS", PATH);
  await assertProblem(options, "method_not_allowed", 405);
});

Deno.test("with * pages of every origin are served, but need the token", async () => {
  const service = startService({ STEPWELL_CORS_ORIGINS: "*", STEPWELL_TOKEN: "secret" });
  for (const headers of FOREIGN) {
    await assertProblem(await service.send("GET", "/v1/runs", { headers }), "unauthorized", 401);
    const response = await service.send("GET", "/v1/runs", {
      headers: { ...headers, Authorization: "Bearer secret" },
    });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("Access-Control-Allow-Origin"), "*");
  }
});
