/** The names that the service answers to: another Host is 421, and no Host takes part in routing. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { isOwnHost } from "../../../routes/http/hosts.ts";
import { assertProblem, SPEC, startRun, startService, stateOf } from "../support/harness.ts";

const LOOPBACK = { STEPWELL_HOST: "127.0.0.1", STEPWELL_HOSTS: "" };
const isOwn = (host: string, settings: Partial<typeof LOOPBACK> = {}) =>
  isOwnHost(host, { ...LOOPBACK, ...settings }, 8080);

const LOOPBACK_NAMES = ["localhost", "LocalHost", "127.0.0.1", "[::1]"];
const FOREIGN = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"];
/** Nothing that a browser or a program calls a host. */
const MALFORMED = [
  "",
  "x/v1/runs#",
  "x?",
  "a@localhost",
  "localhost:",
  "localhost:x",
  "a, b",
  "[::1",
  "ü",
  "a\\b",
];

Deno.test("on loopback only its names are the service's own, with its port or none", () => {
  for (const name of LOOPBACK_NAMES) {
    for (const port of ["", ":8080"]) assert.ok(isOwn(name + port), name + port);
    for (const port of [":80", ":8081", ":0", ":99999"]) assert.ok(!isOwn(name + port), name + port);
  }
  for (const name of [...FOREIGN, ...MALFORMED]) assert.ok(!isOwn(name), name);
  assert.ok(isOwn("127.0.0.2:8080", { STEPWELL_HOST: "127.0.0.2" }));
});

Deno.test("beyond loopback every name is taken, or those of STEPWELL_HOSTS and of loopback", () => {
  const beyond = { STEPWELL_HOST: "0.0.0.0" },
    named = { ...beyond, STEPWELL_HOSTS: "a.example, B.example:443" };
  for (const name of [...FOREIGN, ...LOOPBACK_NAMES]) assert.ok(isOwn(`${name}:9`, beyond), name);
  for (const settings of [named, { STEPWELL_HOSTS: named.STEPWELL_HOSTS }]) {
    for (const name of ["a.example", "A.EXAMPLE:1", "b.example:443", "localhost", "127.0.0.1:8080"]) {
      assert.ok(isOwn(name, settings), name);
    }
    for (const name of ["b.example", "b.example:80", "x.a.example", "localhost:9", ...FOREIGN]) {
      assert.ok(!isOwn(name, settings), name);
    }
  }
  for (const name of MALFORMED) {
    for (const settings of [beyond, named]) assert.ok(!isOwn(name, settings), name);
  }
});

Deno.test("whatever Host holds, with any settings, what is taken adds nothing to the path", () => {
  const settings = fc.record({
    STEPWELL_HOST: fc.constantFrom("127.0.0.1", "0.0.0.0"),
    STEPWELL_HOSTS: fc.constantFrom("", "a.example"),
  });
  const part = fc.constantFrom(
    "x",
    "a.example",
    "localhost",
    "[::1]",
    ":8080",
    "/",
    "?",
    "#",
    "@",
    "\\",
    "v1",
    " ",
    "%2f",
  );
  const host = fc.oneof(fc.array(part, { maxLength: 6 }).map((parts) => parts.join("")), fc.string());
  fc.assert(fc.property(settings, host, (settings, host) => {
    if (!isOwnHost(host, settings, 8080)) return;
    const url = new URL(`http://${host}/healthz?q=1`);
    assert.deepEqual([url.pathname, url.search, url.hash, url.username], ["/healthz", "?q=1", "", ""]);
  }));
});

Deno.test("a request for another host is 421 wherever it goes, and changes nothing", async () => {
  const service = startService();
  await startRun(service);
  const before = await stateOf(service);
  for (
    const [method, path, body] of [
      ["GET", "/healthz", undefined],
      ["GET", "/docs", undefined],
      ["GET", "/nope", undefined],
      ["OPTIONS", "/v1/runs", undefined],
      ["POST", "/v1/runs", SPEC],
      ["DELETE", "/v1/runs/demo", undefined],
    ] as const
  ) {
    // The lane itself refuses an empty Host (lane/smuggling_test.ts); Deno's server hands it over.
    const empty = await service.app.request(path, { method, headers: { Host: "" } });
    await assertProblem(empty, "misdirected_request", 421);
    for (const host of [...FOREIGN, ...MALFORMED.filter((each) => each !== "ü" && each !== "")]) {
      const response = await service.send(method, path, { body, headers: { Host: host } });
      await assertProblem(response, "misdirected_request", 421);
    }
    // A target in absolute form names another host than the header.
    const headers = { Host: "localhost" };
    const response = await service.app.request(`http://evil.example${path}`, { method, headers });
    await assertProblem(response, "misdirected_request", 421);
  }
  assert.equal(await stateOf(service), before);
});

Deno.test("a Host that is not a plain name shapes neither the log's route and run nor the metrics", async () => {
  for (const STEPWELL_PATH_PREFIX of ["", "/stepwell"]) {
    const service = startService({ STEPWELL_PATH_PREFIX });
    const hosts = [
      ...MALFORMED,
      "x/v1/runs/demo#",
      "x/v1/runs/demo?",
      "x/stepwell/v1/runs/demo#",
      "x/metrics#",
    ];
    for (const host of hosts) {
      for (const target of ["/healthz", "/v1/runs/other", "/stepwell/v1/runs/other"]) {
        // The server makes the URL of the header and the target.
        let request: Request;
        try {
          request = new Request(`http://${host}${target}`, { headers: { Host: host } });
        } catch {
          continue;
        }
        await assertProblem(await service.app.request(request), "misdirected_request", 421);
        const line = service.lines.at(-1);
        assert.deepEqual([line?.["route"], line?.["run"]], ["/*", undefined], host + target);
      }
    }
    assert.ok(service.lines.length > hosts.length);
    const text = service.metrics.render({ ...service, streams: service.streams, waits: service.waits });
    const routes = [...text.matchAll(/^stepwell_requests_total\{.*route="([^"]*)"/gm)].map(([, route]) =>
      route
    );
    assert.deepEqual(routes, ["/*"]);
  }
  // A plain name adds nothing: the log tells what was asked for.
  const service = startService();
  await assertProblem(
    await service.send("GET", "/v1/runs/demo", { headers: { Host: "evil.example" } }),
    "misdirected_request",
    421,
  );
  assert.equal(service.lines.at(-1)?.["route"], "/v1/runs/{run}");
});
