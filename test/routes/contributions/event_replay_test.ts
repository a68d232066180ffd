/** Event readers that reconnect or are slow: they get what they have missed, once and in order, or a gap. */
import assert from "node:assert/strict";
import { startService } from "../support/harness.ts";
import { EventReader, isSettled, type Rounds, RUN, startRounds } from "../support/rounds.ts";

const EVENTS = `${RUN}/events`;

async function open(
  rounds: Rounds,
  { headers = {}, query = "" }: { headers?: Readonly<Record<string, string>>; query?: string } = {},
): Promise<EventReader> {
  return new EventReader(await rounds.service.send("GET", EVENTS + query, { headers }));
}

const after = (id: string) => ({ headers: { "Last-Event-ID": id } });
const STATE = { mode: "round", iterations: 0, version: 0, round: 0, accepted: 0, missing: 2, deadline: null };

Deno.test("a reader that reconnects gets each missed event once and in order", async () => {
  await using rounds = await startRounds();
  const first = await open(rounds);
  const seen = [await first.event()];
  for (const client of ["a", "b", "c"]) await rounds.contribute(client);
  while (seen.length < 6) seen.push(await first.event());
  await first.cancel();
  assert.equal(new Set(seen.map((each) => each?.id)).size, 6);
  for (let index = 0; index < seen.length; index++) {
    const id = seen[index]?.id ?? "";
    const ways = [after(id), { query: `?last_event_id=${id}` }, {
      ...after(id),
      query: "?last_event_id=nonsense",
    }];
    for (const way of ways) {
      const reader = await open(rounds, way);
      for (const event of seen.slice(index + 1)) assert.deepEqual(await reader.event(), event);
      const more = reader.event();
      assert.equal(await isSettled(more), false);
      await reader.cancel();
      assert.equal(await more, undefined);
    }
  }
});

Deno.test("a reader that reconnects to another process continues where it was", async () => {
  await using rounds = await startRounds();
  const first = await open(rounds);
  const seen = [await first.event()];
  for (const client of ["a", "b"]) await rounds.contribute(client);
  while (seen.length < 5) seen.push(await first.event());
  await first.cancel();
  await rounds.world.restart();
  const service = startService({}, { registry: rounds.world.registry });
  const response = await service.send("GET", EVENTS, after(seen[1]?.id ?? ""));
  const reader = new EventReader(response);
  for (const event of seen.slice(2)) assert.deepEqual(await reader.event(), event);
  await reader.cancel();
});

Deno.test("a reader that has seen all that a snapshot holds misses nothing when a process starts from it", async () => {
  await using rounds = await startRounds();
  for (let life = 0; life < 3; life++) {
    const session = rounds.world.registry.get("demo");
    const begin = session.events.last;
    for (const w of [1, 2]) {
      const body = { gradients: { w }, client_id: `${w}` };
      await startService({}, { registry: rounds.world.registry }).send("POST", `${RUN}/gradients`, { body });
    }
    const { events: seen, missed } = session.events.since(begin);
    assert.deepEqual([missed, seen.length], [false, 4]);
    await rounds.world.registry.shutdown();
    await rounds.world.restart();
    const { send } = startService({}, { registry: rounds.world.registry });
    const openAt = async (index: number) =>
      new EventReader(await send("GET", EVENTS, after(seen.at(index)?.id ?? "")));
    // The last change made two events: a reader that has seen only the first has missed the second.
    const [all, half] = [await openAt(-1), await openAt(-2)];
    assert.equal((await half.event())?.type, "gap");
    const next = all.event();
    assert.equal(await isSettled(next), false);
    await send("PATCH", `${RUN}/optimizer`, { body: { config: { learning_rate: 1 } } });
    assert.deepEqual((await next)?.type, "run_changed");
    for (const reader of [all, half]) await reader.cancel();
  }
});

Deno.test("a reader gets a gap if the snapshot lacks the round's contributions", async () => {
  await using rounds = await startRounds();
  const { send } = rounds.service;
  await send("DELETE", RUN);
  const created = await send("POST", "/v1/runs", {
    body: {
      id: "demo",
      optimizer: "SGD",
      variables: [{ name: "w", shape: [] }],
      aggregation: { mode: "round", quorum: 2 },
      durability: "snapshot",
    },
  });
  assert.equal(created.status, 201, await created.text());
  const reader = await open(rounds);
  await reader.event();
  await rounds.contribute("a");
  const { id = "" } = await reader.event() ?? {};
  await reader.cancel();
  await rounds.world.registry.shutdown();
  await rounds.world.restart();
  const service = startService({}, { registry: rounds.world.registry });
  const back = new EventReader(await service.send("GET", EVENTS, after(id)));
  const gap = await back.event();
  assert.deepEqual([gap?.type, gap?.data["accepted"]], ["gap", 0]);
  await back.cancel();
});

Deno.test("an id that is unknown, or of events that are no longer kept, gets a gap and the events from now on", async () => {
  await using rounds = await startRounds();
  const session = rounds.world.registry.get("demo");
  const old = await open(rounds);
  const { id = "" } = await old.event() ?? {};
  await old.cancel();
  for (let count = 0; count < 2500; count++) session.patchOptimizer({ learning_rate: 1 });
  for (const unknown of [id, "nonsense", "-1", "99999.1", "1.2.3", "0.0\u00e9"]) {
    const reader = await open(rounds, after(unknown));
    const gap = await reader.event();
    assert.deepEqual([gap?.type, gap?.data], ["gap", { ...STATE, version: session.version }], unknown);
    assert.equal(gap?.id, session.events.last);
    await rounds.contribute(`after ${unknown.length}${unknown}`, 0);
    assert.deepEqual(await reader.types(1), ["contribution_accepted"]);
    await reader.cancel();
    session.withdraw(`after ${unknown.length}${unknown}`);
  }
});

Deno.test("a slow reader costs no memory, and gets all events that are kept, or a gap", async () => {
  await using rounds = await startRounds();
  const session = rounds.world.registry.get("demo");
  const change = (count: number) => {
    for (let made = 0; made < count; made++) session.patchOptimizer({ learning_rate: 1 });
  };
  const reader = await open(rounds);
  assert.equal((await reader.event())?.type, "state");
  change(950);
  const ids = new Set<string>();
  for (let count = 0; count < 950; count++) {
    const event = await reader.event();
    assert.equal(event?.type, "run_changed");
    ids.add(event.id);
  }
  assert.equal(ids.size, 950);
  change(5000);
  const gap = await reader.event();
  assert.deepEqual([gap?.type, gap?.data["version"]], ["gap", 5950]);
  await reader.cancel();
});
