/** How many requests a client may send: the bucket against a model, and the answers. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { HEADER_NAMES } from "../../../routes/http/headers.ts";
import { RateLimit } from "../../../routes/http/rate_limit.ts";
import { assertProblem, type Service, startRun, startService, stateOf } from "../support/harness.ts";
import { TARGETS } from "../support/rejection_targets.ts";
import { entryOf, startWithTokens, tokenOf } from "../support/tokens.ts";

Deno.test("RateLimit.take() lets through, in any time, what came in and the burst, and no less than a steady client sends", () => {
  const waits = fc.array(fc.nat({ max: 3000 }), { minLength: 1, maxLength: 200 });
  fc.assert(fc.property(fc.integer({ min: 1, max: 20 }), waits, (perSecond, pauses) => {
    let now = 0;
    const limit = new RateLimit({ perSecond, now: () => now });
    const size = 10 * perSecond;
    const allowed: number[] = [];
    for (const pause of pauses) {
      now += pause;
      const { isAllowed, left, seconds } = limit.take("a");
      assert.ok(left >= 0 && left < size && seconds >= 1);
      if (isAllowed) allowed.push(now);
      else assert.deepEqual([left, seconds], [0, 1]);
      // A second later there is one, whatever was before.
      if (!isAllowed) {
        now += 1000;
        assert.ok(limit.take("a").isAllowed);
        allowed.push(now);
      }
    }
    for (const [first, start] of allowed.entries()) {
      for (let last = first; last < allowed.length; last++) {
        const most = size + perSecond * (allowed[last]! - start) / 1000;
        assert.ok(last - first + 1 <= most + 1e-6, `${last - first + 1} requests, at most ${most}`);
      }
    }
  }));
});

Deno.test("RateLimit.take() never refuses a client that sends no faster than it may", () => {
  let now = 0;
  const limit = new RateLimit({ perSecond: 4, now: () => now });
  for (let i = 0; i < 1000; i++, now += 250) assert.ok(limit.take("a").isAllowed);
});

Deno.test("RateLimit.take() forgets those that have waited longest when there are too many, and not those that call", () => {
  const limit = new RateLimit({ perSecond: 1, now: () => 0 });
  const drain = (client: string) => {
    while (limit.take(client).isAllowed);
  };
  drain("busy");
  drain("idle");
  for (let i = 0; i < 19_999; i++) {
    limit.take(`client ${i}`);
    if (i % 1000 === 0) assert.equal(limit.take("busy").isAllowed, false);
  }
  assert.equal(limit.take("busy").isAllowed, false);
  assert.equal(limit.take("idle").isAllowed, true);
});

/** A service that lets ten requests through at once, then one a second, on a clock that the test moves. */
function startLimited(token = "") {
  const clock = { now: 0 };
  const service = startWithTokens(
    [entryOf("a"), entryOf("b", { scopes: ["read"] })],
    { STEPWELL_REQUESTS_PER_SECOND: 1, STEPWELL_TOKEN: token },
    { now: () => clock.now },
  );
  return { clock, ...service };
}

const at = (hostname: string) => ({ remoteAddr: { transport: "tcp" as const, hostname, port: 1 } });

/** How many of `count` requests from an address are answered other than by 429. */
async function taken(service: Service, hostname: string, authorization: string, count = 30): Promise<number> {
  let passed = 0;
  for (let i = 0; i < count; i++) {
    const headers = { Authorization: authorization };
    const response = await service.app.request("/v1/runs", { headers }, at(hostname));
    await response.body?.cancel();
    passed += Number(response.status !== 429);
  }
  return passed;
}

Deno.test("every answer tells what is left, and one too many is a 429 that tells when to come again", async () => {
  const { clock, sendAs } = startLimited();
  const send = sendAs("a");
  for (let left = 9; left >= 0; left--) {
    const { status, headers } = await send("GET", left % 2 === 0 ? "/v1/runs" : "/v1/runs/nope");
    assert.equal(status, left % 2 === 0 ? 200 : 404);
    assert.equal(headers.get("RateLimit-Policy"), '"requests";q=10;w=10');
    assert.equal(headers.get("RateLimit"), `"requests";r=${left};t=1`);
  }
  const refused = await send("GET", "/v1/runs");
  assert.equal(refused.headers.get("Retry-After"), "1");
  assert.equal(refused.headers.get("RateLimit"), '"requests";r=0;t=1');
  assert.equal(refused.headers.get("RateLimit-Policy"), '"requests";q=10;w=10');
  const { detail } = await assertProblem(refused, "too_many_requests", 429);
  assert.match(detail, /at most 1 a second on average/);
  clock.now += 1000;
  assert.equal((await send("GET", "/v1/runs")).status, 200);
  assert.equal((await send("GET", "/v1/runs")).status, 429);
  for (const name of ["RateLimit", "RateLimit-Policy", "Retry-After"]) assert.ok(HEADER_NAMES.includes(name));
});

Deno.test("a page of an allowed origin may read that it has sent too much, and when to come again", async () => {
  const origins = startWithTokens([], {
    STEPWELL_REQUESTS_PER_SECOND: 1,
    STEPWELL_CORS_ORIGINS: "https://a.example",
  });
  const headers = { Origin: "https://a.example" };
  for (let i = 0; i < 10; i++) await (await origins.send("GET", "/v1/runs", { headers })).body?.cancel();
  const refused = await origins.send("GET", "/v1/runs", { headers });
  assert.equal(refused.headers.get("Access-Control-Allow-Origin"), "https://a.example");
  const exposed = refused.headers.get("Access-Control-Expose-Headers")?.split(",") ?? [];
  for (const name of ["RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate"]) {
    assert.ok(exposed.includes(name), name);
  }
  await assertProblem(refused, "too_many_requests", 429);
  // What asks whether it may ask is not counted.
  const preflight = { ...headers, "Access-Control-Request-Method": "GET" };
  for (let i = 0; i < 20; i++) {
    assert.equal((await origins.send("OPTIONS", "/v1/runs", { headers: preflight })).status, 204);
  }
});

Deno.test("without the setting nothing is limited and no header tells of a limit", async () => {
  const { send } = startService();
  for (let i = 0; i < 100; i++) {
    const { status, headers } = await send("GET", "/v1/runs");
    assert.equal(status, 200);
    assert.ok(!headers.has("RateLimit") && !headers.has("RateLimit-Policy"));
  }
});

Deno.test("tokens are limited each for itself, whatever their addresses", async () => {
  const service = startLimited();
  const [a, b] = ["a", "b"].map((name) => `Bearer ${tokenOf(name)}`) as [string, string];
  assert.equal(await taken(service, "10.0.0.1", a, 6), 6);
  assert.equal(await taken(service, "10.0.0.2", a), 4);
  assert.equal(await taken(service, "10.0.0.1", b), 10);
});

Deno.test("who guesses tokens is limited by the address, before the answer says whether one is right, and takes nothing from others", async () => {
  const service = startLimited("the-token-of-all-clients");
  const own = "Bearer the-token-of-all-clients";
  let guesses = 0;
  for (let i = 0; i < 30; i++) {
    const headers = { Authorization: i % 3 === 0 ? `Bearer guess-${i}` : i % 3 === 1 ? "" : "Basic x" };
    const response = await service.app.request("/v1/runs", { headers }, at("10.0.0.1"));
    if (response.status === 429) {
      assert.equal(response.headers.get("WWW-Authenticate"), null);
      await assertProblem(response, "too_many_requests", 429);
    } else {
      guesses++;
      assert.ok([400, 401].includes(response.status));
      await response.body?.cancel();
    }
  }
  assert.equal(guesses, 10);
  assert.equal(await taken(service, "10.0.0.1", own), 10, "those with STEPWELL_TOKEN at the same address");
  assert.equal(await taken(service, "10.0.0.1", `Bearer ${tokenOf("a")}`), 10);
  assert.equal(await taken(service, "10.0.0.2", own), 10, "by their own address");
});

Deno.test("an address is limited as a whole: a mapped IPv4 address as itself, an IPv6 address with its /64", async () => {
  const service = startService({ STEPWELL_REQUESTS_PER_SECOND: 1 });
  assert.equal(await taken(service, "10.0.0.1", "", 6), 6);
  assert.equal(await taken(service, "::ffff:10.0.0.1", ""), 4);
  assert.equal(await taken(service, "::ffff:10.0.0.2", ""), 10);
  assert.equal(await taken(service, "2001:db8:0:1::1", "", 7), 7);
  assert.equal(await taken(service, "2001:db8:0:1:ffff::2", ""), 3);
  assert.equal(await taken(service, "2001:db8:0:2::1", ""), 10);
});

Deno.test("/healthz is answered however often, and everything else is limited", async () => {
  const { send } = startService({ STEPWELL_REQUESTS_PER_SECOND: 1 });
  for (let i = 0; i < 30; i++) {
    const { status, headers } = await send("GET", "/healthz");
    assert.deepEqual([status, headers.get("RateLimit")], [200, null]);
  }
  for (const path of ["/readyz", "/openapi.json", "/docs", "/nope", "/v1/catalog", "/metrics"]) {
    const limited = startService({ STEPWELL_REQUESTS_PER_SECOND: 1 });
    for (let i = 0; i < 10; i++) await (await limited.send("GET", path)).body?.cancel();
    await assertProblem(await limited.send("GET", path), "too_many_requests", 429);
  }
});

Deno.test("a 429 changes nothing, whatever the operation", async () => {
  const { clock, send, sendAs, ...service } = startLimited();
  const slow = async (...[method, path, options]: Parameters<typeof send>) => {
    clock.now += 1000;
    return await send(method, path, options);
  };
  await startRun({ ...service, send: slow });
  const before = await stateOf({ ...service, send: slow });
  for (let i = 0; i < 10; i++) await (await sendAs("a")("GET", "/v1/runs")).body?.cancel();
  const still = clock.now;
  for (const { method, path, good } of Object.values(TARGETS)) {
    const refused = await sendAs("a")(method, path, { body: good ?? {} });
    await assertProblem(refused, "too_many_requests", 429);
  }
  assert.equal(clock.now, still);
  assert.equal(await stateOf({ ...service, send: slow }), before);
});
