/** Which clients share places: by the token, or by the address. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { subnetOf } from "../../../routes/http/client.ts";
import { until } from "../../support/waiting.ts";
import { assertProblem, startRun } from "../support/harness.ts";
import { entryOf, startWithTokens, tokenOf } from "../support/tokens.ts";

const group = fc.nat({ max: 0xffff });
const groups = fc.tuple(group, group, group, group, group, group, group, group);

/** All the ways to write an address that leave out one row of zeros. */
function* writings(parts: readonly number[]): Generator<string> {
  const hex = (some: readonly number[]) => some.map((part) => part.toString(16)).join(":");
  yield hex(parts);
  yield parts.map((part) => part.toString(16).padStart(4, "0").toUpperCase()).join(":");
  for (let from = 0; from < 8; from++) {
    for (let to = from + 1; to <= 8 && parts[to - 1] === 0; to++) {
      yield `${hex(parts.slice(0, from))}::${hex(parts.slice(to))}`;
    }
  }
}

Deno.test("subnetOf() is the first half of an IPv6 address however it is written", () => {
  const sparse = fc.tuple(groups, fc.array(fc.nat({ max: 7 }))).map(([all, zeros]) =>
    all.map((part, at) => zeros.includes(at) ? 0 : part)
  );
  fc.assert(fc.property(sparse, (parts) => {
    const wanted = `${parts.slice(0, 4).map((part) => part.toString(16)).join(":")}::/64`;
    for (const address of writings(parts)) assert.equal(subnetOf(address), wanted, address);
  }));
});

Deno.test("subnetOf() takes an address with an IPv4 address at its end, and any other as it is", () => {
  assert.equal(subnetOf("64:ff9b::192.0.2.1"), "64:ff9b:0:0::/64");
  assert.equal(subnetOf("1:2:3:4:5:6:192.0.2.1"), "1:2:3:4::/64");
  assert.equal(subnetOf("fe80::1%eth0"), "fe80:0:0:0::/64");
  assert.equal(subnetOf("192.0.2.1"), "192.0.2.1");
  assert.equal(subnetOf("localhost"), "localhost");
});

Deno.test("one token has half of the places for bodies, from however many addresses, and leaves the others", async () => {
  const service = startWithTokens([entryOf("a"), entryOf("b")], { STEPWELL_UPLOADS_MAX: 4 });
  await startRun(service);
  const bodies: ReadableStreamDefaultController<Uint8Array>[] = [];
  const begin = (name: string, hostname: string) =>
    Promise.resolve(service.app.request("/v1/runs/demo/gradients", {
      method: "POST",
      headers: { Authorization: `Bearer ${tokenOf(name)}`, "Content-Type": "application/json" },
      body: new ReadableStream<Uint8Array>({ start: (controller) => void bodies.push(controller) }),
    }, { remoteAddr: { transport: "tcp", hostname, port: 1 } }));
  const answers = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"].map((address) => begin("a", address));
  await until(() => service.uploads.waiting === 2);
  assert.equal(service.uploads.open, 2);
  // From an address of the first token's: the address decides nothing.
  answers.push(begin("b", "10.0.0.1"), begin("b", "10.0.0.1"));
  await until(() => service.uploads.open === 4);
  assert.equal(service.uploads.waiting, 2);
  for (const body of bodies) {
    body.enqueue(new TextEncoder().encode('{"gradients":{"scale":1}}'));
    body.close();
  }
  for (const answer of answers) assert.equal((await answer).status, 200);
  assert.deepEqual([service.uploads.open, service.uploads.waiting], [0, 0]);
});

/** Sends requests that stay open, as the token "a" if nothing else is said, and ends them all. */
function held(service: ReturnType<typeof startWithTokens>, path: string, more: Record<string, string> = {}) {
  const ending = new AbortController();
  const send = (hostname: string, headers: Record<string, string> = {}) =>
    Promise.resolve(service.app.request(path, {
      signal: ending.signal,
      headers: { Authorization: `Bearer ${tokenOf("a")}`, ...more, ...headers },
    }, { remoteAddr: { transport: "tcp", hostname, port: 1 } }));
  return { send, end: () => ending.abort() };
}

const asB = { Authorization: `Bearer ${tokenOf("b")}` };
const WAITING = "/v1/runs/demo/variables?after_iteration=0";

Deno.test("one token has half of the event streams, from however many addresses, and leaves the others", async () => {
  const service = startWithTokens([entryOf("a"), entryOf("b")], { STEPWELL_EVENT_STREAMS_MAX: 4 });
  await startRun(service);
  const { send } = held(service, "/v1/runs/demo/events");
  const own = [await send("10.0.0.1"), await send("10.0.0.2")];
  const refused = await send("10.0.0.3");
  assert.equal(refused.headers.get("Retry-After"), "1");
  assert.match((await assertProblem(refused, "busy", 503)).detail, /: 2 requests of this client already do/);
  const others = [await send("10.0.0.1", asB), await send("10.0.0.1", asB)];
  for (const { status } of [...own, ...others]) assert.equal(status, 200);
  assert.equal(service.streams.open, 4);
  // A place that is given back is the client's again.
  await own[0]?.body?.cancel();
  const again = await send("10.0.0.3");
  assert.equal(again.status, 200);
  for (const { body } of [...own, ...others, again]) await body?.cancel().catch(() => {});
  assert.equal(service.streams.open, 0);
});

Deno.test("one address has half of the waits, and the address is what a trusted proxy saw", async () => {
  const service = startWithTokens([], {
    STEPWELL_TOKEN: tokenOf("a"),
    STEPWELL_WAITS_MAX: 4,
    STEPWELL_TRUSTED_PROXIES: "10.0.0.1",
  });
  await startRun(service);
  const { version } = await (await service.send("GET", "/v1/runs/demo")).json();
  const { send, end } = held(service, WAITING.replace("0", `${version}`), { Prefer: "wait=50" });
  const via = (list: string) => ({ "X-Forwarded-For": list });
  // Two addresses in front of the first are made up.
  const waiting = [send("10.0.0.1", via("203.0.113.1")), send("10.0.0.1", via("1.1.1.1, 203.0.113.1"))];
  await until(() => service.waits.open === 2);
  const refused = [
    await send("10.0.0.1", via("2.2.2.2, 203.0.113.1")),
    await send("10.0.0.1", { Forwarded: 'for="203.0.113.1:99"' }),
    await send("203.0.113.1", via("4.4.4.4")),
  ];
  for (const each of refused) {
    assert.equal(each.headers.get("Retry-After"), "1");
    assert.match((await assertProblem(each, "busy", 503)).detail, /: 2 requests of this client already do/);
  }
  waiting.push(send("10.0.0.1", via("203.0.113.2")), send("203.0.113.3", via("203.0.113.1")));
  await until(() => service.waits.open === 4);
  assert.match((await assertProblem(await send("10.0.0.9"), "busy", 503)).detail, /: 4 requests already do/);
  const addresses = service.lines.map(({ address }) => address);
  assert.deepEqual(addresses.slice(-4), ["203.0.113.1", "203.0.113.1", "203.0.113.1", "10.0.0.9"]);
  end();
  await Promise.all(waiting);
  await until(() => service.waits.open === 0);
});
