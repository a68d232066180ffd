/** Event streams as connections: their bound, their heartbeat, their end. */
import assert from "node:assert/strict";
import { type Door, DOORS, type OpenDoor, openDoor } from "../support/doors.ts";
import { until } from "../../support/waiting.ts";
import { assertProblem } from "../support/harness.ts";
import { EventReader, isSettled, type Rounds, RUN, startRounds } from "../support/rounds.ts";

const EVENTS = `${RUN}/events`;

const open = async (rounds: Rounds) => new EventReader(await rounds.service.send("GET", EVENTS));
/** A stream of which nothing is taken: a connection takes what comes first. */
const openUnread = async (rounds: Rounds) => new EventReader(await rounds.service.app.request(EVENTS));

interface Served extends AsyncDisposable {
  readonly rounds: Rounds;
  readonly url: string;
  readonly server: OpenDoor;
}

type Serve = (...parameters: Parameters<typeof startRounds>) => Promise<Served>;

async function serve(door: Door, ...[aggregation, settings]: Parameters<Serve>): Promise<Served> {
  // The port is not known yet: the name is answered with any.
  const rounds = await startRounds(aggregation, { STEPWELL_HOSTS: "127.0.0.1", ...settings });
  const server = openDoor(door, rounds.service.app, rounds.service);
  return {
    rounds,
    url: `http://127.0.0.1:${server.port}`,
    server,
    [Symbol.asyncDispose]: async () => {
      rounds.stopping.abort();
      await server.shutdown();
      await rounds[Symbol.asyncDispose]();
    },
  };
}

function testBothDoors(name: string, run: (serve: Serve) => Promise<void>): void {
  for (const door of DOORS) {
    Deno.test(`${name} (${door})`, () => run((...parameters) => serve(door, ...parameters)));
  }
}

Deno.test("a stream without events sends heartbeats", async () => {
  await using rounds = await startRounds(undefined, { STEPWELL_HEARTBEAT_SECONDS: 0.01 });
  const reader = await open(rounds);
  await reader.event();
  for (let count = 0; count < 3; count++) assert.equal(await reader.block(), ":");
  await rounds.contribute("a");
  assert.deepEqual(await reader.types(1), ["contribution_accepted"]);
  await reader.cancel();
});

Deno.test("a stream beyond its client's half of the places is refused until another has ended", async () => {
  await using rounds = await startRounds(undefined, { STEPWELL_EVENT_STREAMS_MAX: 4 });
  const { send, streams } = rounds.service;
  const [first, second] = [await open(rounds), await open(rounds)];
  assert.equal(streams.open, 2);
  const refused = await send("GET", EVENTS);
  assert.equal(refused.headers.get("Retry-After"), "1");
  await assertProblem(refused, "busy", 503);
  assert.match(await (await send("GET", "/metrics")).text(), /^stepwell_event_streams 2$/m);
  // Not read at all, and read while it waits.
  await first.cancel();
  await second.event();
  const waiting = second.event();
  assert.equal(await isSettled(waiting), false);
  await second.cancel();
  await second.cancel();
  assert.equal(streams.open, 0);
  const third = await open(rounds);
  assert.equal(streams.open, 1);
  await third.cancel();
  assert.equal(streams.open, 0);
});

Deno.test("HEAD opens no stream, and an unknown run has none", async () => {
  await using rounds = await startRounds();
  const { send, streams } = rounds.service;
  const head = await send("HEAD", EVENTS);
  assert.deepEqual([head.status, head.headers.get("Content-Type"), await head.text()], [
    200,
    "text/event-stream",
    "",
  ]);
  await assertProblem(await send("GET", "/v1/runs/nope/events"), "unknown_run", 404);
  const { issues } = await assertProblem(await send("GET", `${EVENTS}?from=1`), "invalid_request", 422);
  assert.equal(issues[0]?.path, "query");
  assert.equal(streams.open, 0);
});

Deno.test("an open stream keeps its run in memory until it ends", async () => {
  await using rounds = await startRounds();
  const { registry } = rounds.world;
  const reader = await open(rounds);
  await registry.sweep({ idleMs: 0 });
  assert.equal(registry.figures().runsInMemory, 1);
  await reader.cancel();
  await registry.sweep({ idleMs: 0 });
  assert.equal(registry.figures().runsInMemory, 0);
});

Deno.test("a stream ends when the run is deleted, replaced, or the service is told to stop", async () => {
  for (const end of ["deleted", "replaced", "stopped"]) {
    await using rounds = await startRounds();
    const { send, streams } = rounds.service;
    const checkpoint = await (await send("GET", `${RUN}/checkpoint`)).bytes();
    const [waiting, unread] = [await open(rounds), await openUnread(rounds)];
    await waiting.event();
    const next = waiting.event();
    if (end === "deleted") await send("DELETE", RUN);
    else if (end === "replaced") await send("PUT", `${RUN}/checkpoint`, { body: checkpoint });
    else rounds.stopping.abort();
    assert.equal(await next, undefined, end);
    // A stop also ends streams that nobody reads: the process would wait for them.
    assert.equal(streams.open, end === "stopped" ? 0 : 1);
    assert.deepEqual(await unread.types(1), ["the end"]);
    assert.equal(streams.open, 0);
    if (end === "stopped") await assertProblem(await send("GET", EVENTS), "shutting_down", 503);
  }
});

testBothDoors(
  "events arrive over a socket as they happen, even if the reader accepts compression",
  async (serve) => {
    await using served = await serve();
    const { rounds, url } = served;
    const response = await fetch(url + EVENTS, { headers: { "Accept-Encoding": "gzip, br" } });
    assert.equal(response.headers.get("Content-Encoding"), null);
    const reader = new EventReader(response);
    assert.deepEqual(await reader.types(1), ["state"]);
    for (const client of ["a", "b"]) {
      await rounds.contribute(client);
      assert.deepEqual(await reader.types(1), ["contribution_accepted"]);
    }
    assert.deepEqual(await reader.types(2), ["step_applied", "round_opened"]);
    await reader.cancel();
  },
);

/** A contribution over the socket that waits for its step. */
function contribute(served: Served, client_id: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${served.url}${RUN}/gradients`, {
    ...init,
    method: "POST",
    body: JSON.stringify({ gradients: { w: 1 }, client_id }),
    headers: { "Content-Type": "application/json", Prefer: "wait=60", ...init.headers },
  });
}

/** A request over a connection of its own, which is there until it is closed. */
async function ask(
  { server: { port } }: Served,
  { method, path, headers = {}, body = "" }: {
    readonly method: string;
    readonly path: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  },
): Promise<Deno.TcpConn> {
  const socket = await Deno.connect({ hostname: "127.0.0.1", port });
  const fields = { Host: `127.0.0.1:${port}`, "Content-Length": String(body.length), ...headers };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  await socket.write(new TextEncoder().encode(`${method} ${path} HTTP/1.1\r\n${lines}\r\n${body}`));
  return socket;
}

testBothDoors("a client that disconnects leaves no stream and no waiting request behind", async (serve) => {
  await using served = await serve({ mode: "round", quorum: 3 });
  const { rounds: { service, world } } = served;
  const stream = await ask(served, { method: "GET", path: EVENTS });
  await until(() => service.streams.open === 1);
  const contribution = (client_id: string, headers: Readonly<Record<string, string>>) =>
    ask(served, {
      method: "POST",
      path: `${RUN}/gradients`,
      headers: { "Content-Type": "application/json", Prefer: "wait=60", ...headers },
      body: JSON.stringify({ gradients: { w: 1 }, client_id }),
    });
  const waiting = [
    await contribution("plain", {}),
    await contribution("keyed", { "Idempotency-Key": "key" }),
  ];
  await until(() => world.registry.get("demo").round().accepted === 2);
  for (const socket of [stream, ...waiting]) socket.close();
  await until(() => service.streams.open === 0);
  await until(() => service.lines.filter(({ status }) => status === 202).length === 2);
  await until(async () => {
    await world.registry.sweep({ idleMs: 0 });
    return world.registry.figures().runsInMemory === 0;
  });
});

testBothDoors("a server can shut down once its streams and waiting requests are ended", async (serve) => {
  await using served = await serve();
  const { rounds, url } = served;
  const reader = new EventReader(await fetch(url + EVENTS));
  await reader.event();
  const unread = await fetch(url + EVENTS);
  const waiting = contribute(served, "a");
  assert.deepEqual(await reader.types(1), ["contribution_accepted"]);
  assert.equal(rounds.service.streams.open, 2);
  rounds.stopping.abort();
  const response = await waiting;
  assert.equal(response.status, 202, await response.text());
  assert.equal(await reader.event(), undefined);
  await served.server.shutdown();
  await unread.body?.cancel();
});
