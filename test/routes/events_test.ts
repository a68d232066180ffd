/** The stream of events: what is told, in which order, to new readers and to those that come back. */
import assert from "node:assert/strict";
import { IO_ERROR } from "../store/disk.ts";
import { assertProblem, startService } from "./harness.ts";
import { EventReader, isSettled, type Rounds, RUN, startRounds } from "./rounds.ts";

const EVENTS = `${RUN}/events`;

async function open(
  rounds: Rounds,
  { headers = {}, query = "" }: { headers?: Readonly<Record<string, string>>; query?: string } = {},
): Promise<EventReader> {
  return new EventReader(await rounds.service.send("GET", EVENTS + query, { headers }));
}

const after = (id: string) => ({ headers: { "Last-Event-ID": id } });
const STATE = { mode: "round", iterations: 0, version: 0, round: 0, accepted: 0, missing: 2, deadline: null };

Deno.test("a new reader is told where the run is, and then what happens", async () => {
  await using rounds = await startRounds();
  const { send } = rounds.service;
  const response = await send("GET", EVENTS);
  assert.equal(response.headers.get("Cache-Control"), "no-store");
  const reader = new EventReader(response);
  assert.equal(await reader.block(), "retry: 2000");
  const state = await reader.event();
  assert.deepEqual([state?.type, state?.data], ["state", STATE]);

  await rounds.contribute("a", 3);
  const accepted = await reader.event();
  assert.deepEqual([accepted?.type, accepted?.data], ["contribution_accepted", {
    round: 0,
    client_id: "a",
    contributions: 1,
    missing: 1,
    deadline: "1970-01-01T00:01:00.000Z",
    iterations: 0,
    version: 0,
  }]);
  await send("DELETE", `${RUN}/rounds/current/contributions/a`);
  const withdrawn = await reader.event();
  assert.deepEqual([withdrawn?.type, withdrawn?.data["client_id"]], ["contribution_withdrawn", "a"]);
  for (const client of ["a", "b"]) await rounds.contribute(client, 2);
  assert.deepEqual(await reader.types(2), ["contribution_accepted", "contribution_accepted"]);
  const applied = await reader.event();
  assert.equal(applied?.type, "step_applied");
  const { round, iterations, version, contributions, gradient_norm } = applied?.data ?? {};
  assert.deepEqual([round, iterations, version, contributions, gradient_norm], [0, 1, 1, 2, 4]);
  const opened = await reader.event();
  assert.deepEqual([opened?.type, opened?.data], ["round_opened", { round: 1, iterations: 1, version: 1 }]);
  await send("PATCH", `${RUN}/optimizer`, { body: { config: { learning_rate: 0.5 } } });
  const changed = await reader.event();
  assert.deepEqual([changed?.type, changed?.data["changed"]], ["run_changed", "optimizer"]);
  await reader.cancel();
});

Deno.test("a round that is dropped is told of, and the one that opens in its place", async () => {
  await using rounds = await startRounds({ mode: "round", quorum: 3, minimum: 2, deadline_seconds: 60 });
  await rounds.contribute("a");
  const reader = await open(rounds);
  const state = await reader.event();
  assert.deepEqual([state?.data["accepted"], state?.data["deadline"]], [1, "1970-01-01T00:01:00.000Z"]);
  rounds.pass(60);
  const dropped = await reader.event();
  assert.deepEqual([dropped?.type, dropped?.data["round"]], ["round_dropped", 0]);
  assert.match(String(dropped?.data["reason"]), /deadline/);
  assert.deepEqual(await reader.types(1), ["round_opened"]);
  await reader.cancel();
});

Deno.test("a run in mode immediate tells of its steps, in numbers that JSON can say", async () => {
  await using rounds = await startRounds({ mode: "immediate" });
  const { send } = rounds.service;
  const body = {
    id: "wild",
    optimizer: "SGD",
    variables: [{ name: "w", shape: [] }],
    non_finite: "propagate",
  };
  await send("POST", "/v1/runs", { body });
  const reader = new EventReader(await send("GET", "/v1/runs/wild/events"));
  assert.equal((await reader.event())?.data["round"], null);
  await send("POST", "/v1/runs/wild/gradients", { body: { gradients: { w: "NaN" } } });
  const applied = await reader.event();
  assert.deepEqual([applied?.type, applied?.data["gradient_norm"]], ["step_applied", "NaN"]);
  assert.ok(!("round" in (applied?.data ?? {})));
  await reader.cancel();
});

Deno.test("a reader that comes back gets what it has missed, each once and in order", async () => {
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

Deno.test("a reader that comes back to another process goes on where it was", async () => {
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

Deno.test("an id that is not known, or of events that are no longer kept, gets a gap and goes on from now", async () => {
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

Deno.test("a reader that is slow costs nothing meanwhile, and gets all that is kept, or a gap", async () => {
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

Deno.test("no event is told of that is not on disk", async () => {
  for (const fails of [false, true]) {
    await using rounds = await startRounds();
    const { world } = rounds;
    const reader = await open(rounds);
    await reader.event();
    const { promise, resolve } = Promise.withResolvers<void>();
    world.disk.pause = () => promise;
    if (fails) {
      world.disk.fault = (operation) => {
        if (operation === "flush") throw new Error(IO_ERROR);
      };
    }
    const next = reader.event();
    const contributed = rounds.contribute("a");
    assert.equal(await isSettled(next), false);
    resolve();
    // The reader comes back, and learns from the run itself what has become of it.
    assert.equal((await next)?.type, fails ? undefined : "contribution_accepted");
    if (fails) await assertProblem(await contributed, "storage_failed", 503);
    else assert.equal((await contributed).status, 202);
    await reader.cancel();
    assert.equal(rounds.service.streams.open, 0);
  }
});
