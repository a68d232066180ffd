/** The bound on waiting requests, and the refusal of further ones. */
import assert from "node:assert/strict";
import * as applyGradients from "../../../routes/apply_gradients.ts";
import { until } from "../../support/waiting.ts";
import { answer } from "../support/contract.ts";
import { assertProblem } from "../support/harness.ts";
import { isSettled, type Rounds, RUN, startRounds } from "../support/rounds.ts";

const ROUND = { mode: "round", quorum: 3 };
const newer = ({ service }: Rounds) =>
  service.send("GET", `${RUN}/variables?after_iteration=0`, { headers: { Prefer: "wait=50" } });

async function assertBusy(response: Response): Promise<void> {
  assert.equal(response.headers.get("Retry-After"), "1");
  assert.equal(response.headers.get("Preference-Applied"), null);
  const { detail } = await assertProblem(response, "busy", 503);
  assert.match(detail, /Cannot wait .*: 2 requests of this client already do, must be at most half of 4/);
}

Deno.test("a waiting request beyond its client's half of the places is refused, and its contribution is not taken", async () => {
  await using rounds = await startRounds(ROUND, { STEPWELL_WAITS_MAX: 4 });
  const { send, waits } = rounds.service;
  const contributed = rounds.contribute("a", 1, { wait: 50 });
  await until(() => rounds.world.registry.get("demo").round().accepted === 1);
  const values = newer(rounds);
  assert.equal(await isSettled(values), false);
  assert.equal(waits.open, 2);
  assert.match(await (await send("GET", "/metrics")).text(), /^stepwell_waits 2$/m);
  await assertBusy(await newer(rounds));
  await assertBusy(await rounds.contribute("b", 1, { wait: 50, key: "b" }));
  assert.equal(rounds.world.registry.get("demo").round().accepted, 1);
  // A request that does not wait, or waits for 0 seconds, needs no place.
  await answer(applyGradients, await rounds.contribute("c", 1, { wait: 0 }), 202);
  // The refused request left nothing behind, not even its key.
  await answer(applyGradients, await rounds.contribute("b", 1, { key: "b" }));
  for (const each of [contributed, values]) assert.equal((await each).status, 200);
  assert.equal(waits.open, 0);
});

Deno.test("a request with an immediate result needs no place to wait", async () => {
  await using rounds = await startRounds({ mode: "immediate" }, { STEPWELL_WAITS_MAX: 0 });
  await answer(applyGradients, await rounds.contribute("a", 1, { wait: 50 }));
  assert.equal((await newer(rounds)).status, 200);
});

Deno.test("a waiting request releases its place however the wait ends", async () => {
  for (const end of ["deleted", "dropped", "refused", "stopped"]) {
    await using rounds = await startRounds({ ...ROUND, deadline_seconds: 60 });
    const { send, waits } = rounds.service;
    const waiting = [rounds.contribute("a", 1, { wait: 50 })];
    await until(() => rounds.world.registry.get("demo").round().accepted === 1);
    if (end === "refused") waiting.push(rounds.contribute("a", NaN, { wait: 50 }));
    else waiting.push(newer(rounds));
    assert.ok(waits.open > 0);
    if (end === "deleted") await send("DELETE", RUN);
    else if (end === "dropped") rounds.pass(60);
    if (end !== "deleted") rounds.stopping.abort();
    await Promise.all(waiting);
    assert.equal(waits.open, 0, end);
  }
});
