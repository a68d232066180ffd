/** The event stream: its events, their order, and that none is sent before it is on disk. */
import assert from "node:assert/strict";
import { route } from "../../../routes/get_events.ts";
import { IO_ERROR } from "../../store/support/disk.ts";
import { assertProblem } from "../support/harness.ts";
import { EventReader, isSettled, type Rounds, RUN, startRounds } from "../support/rounds.ts";

const EVENTS = `${RUN}/events`;

const open = async (rounds: Rounds) => new EventReader(await rounds.service.send("GET", EVENTS));

const STATE = { mode: "round", iterations: 0, version: 0, round: 0, accepted: 0, missing: 2, deadline: null };

Deno.test("a new reader gets the state of the run, and then its events", async () => {
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

Deno.test("get_events documents every event with its data", async () => {
  const rows = new Map(
    [...route.description.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, type, data]) => [type, data ?? ""]),
  );
  const seen = new Set<string>();
  await using rounds = await startRounds({ mode: "round", quorum: 3, minimum: 2, deadline_seconds: 60 });
  const { send } = rounds.service;
  const reader = await open(rounds);
  const events = [await reader.event()];
  await rounds.contribute("a");
  await rounds.contribute("b");
  await send("DELETE", `${RUN}/rounds/current/contributions/b`);
  rounds.pass(60);
  await send("PUT", `${RUN}/variables`, { body: { variables: { w: 1 } } });
  await rounds.contribute("a");
  await rounds.contribute("b");
  rounds.pass(60);
  // A step that overflows by itself: what the clients sent is finite.
  await send("PUT", `${RUN}/variables`, { body: { variables: { w: -3e38 } } });
  await rounds.contribute("a", 3e38);
  await rounds.contribute("b", 0);
  rounds.pass(60);
  while (events.length < 17) events.push(await reader.event());
  for (const event of events) {
    const { type = "", data = {} } = event ?? {};
    seen.add(type);
    const { iterations, version, ...more } = data;
    assert.ok(typeof iterations === "number" && typeof version === "number", type);
    const described = rows.get(type) ?? "";
    if (type === "step_applied") assert.equal(more["contributions"], 2);
    else for (const name of Object.keys(more)) assert.match(described, new RegExp(`\\b${name}\\b`), type);
  }
  await reader.cancel();
  assert.deepEqual([...rows.keys()].filter((type) => type !== "gap").sort(), [...seen].sort());
});

Deno.test("a dropped round makes an event, and so does the next round", async () => {
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

Deno.test("a run in mode immediate sends events of its steps, as valid JSON", async () => {
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

Deno.test("no event is sent before it is on disk", async () => {
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
    // The reader reconnects and gets the state of the run.
    assert.equal((await next)?.type, fails ? undefined : "contribution_accepted");
    if (fails) await assertProblem(await contributed, "storage_failed", 503);
    else assert.equal((await contributed).status, 202);
    await reader.cancel();
    assert.equal(rounds.service.streams.open, 0);
  }
});
