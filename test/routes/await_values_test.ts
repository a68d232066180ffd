/** GET variables with `after_iteration`: newer values, at once or when there are some. */
import assert from "node:assert/strict";
import * as getVariables from "../../routes/get_variables.ts";
import { answer } from "./support/contract.ts";
import { assertProblem, FILE_TYPE, readFile } from "./support/harness.ts";
import { isSettled, type Rounds, RUN, startRounds } from "./support/rounds.ts";

const IMMEDIATE = { mode: "immediate" };

const get = (rounds: Rounds, query: string, headers: Readonly<Record<string, string>> = {}, method = "GET") =>
  rounds.service.send(method, `${RUN}/variables?${query}`, { headers });
const wait = (rounds: Rounds, query: string, headers: Readonly<Record<string, string>> = {}) =>
  get(rounds, query, { Prefer: "wait=50", ...headers });

async function assertNotModified(response: Response, version: number): Promise<void> {
  assert.equal(response.status, 304);
  assert.equal(response.headers.get("ETag"), `"v${version}"`);
  assert.equal(response.headers.get("Content-Type"), null);
  assert.equal(await response.text(), "");
}

Deno.test("get_variables after an iteration gives newer values, or 304 if there are none", async () => {
  await using rounds = await startRounds(IMMEDIATE);
  await rounds.contribute("a", 3);
  const values = await answer(getVariables, await get(rounds, "after_iteration=0"));
  assert.deepEqual([values.iterations, values.variables.w], [1, -3]);
  for (const n of [1, 2, 999_999_999_999_999]) {
    const response = await get(rounds, `after_iteration=${n}`);
    assert.equal(response.headers.get("Preference-Applied"), null);
    await assertNotModified(response, 1);
  }
  await assertNotModified(await get(rounds, "after_iteration=1", {}, "HEAD"), 1);
  await assertNotModified(await get(rounds, "after_iteration=0", { "If-None-Match": '"v1"' }), 1);
});

Deno.test("a waiting get_variables gets the values of the next step, in the type that it accepts", async () => {
  await using rounds = await startRounds();
  const json = wait(rounds, "after_iteration=0&name=w");
  const binary = wait(rounds, "after_iteration=0", { Accept: FILE_TYPE });
  const later = wait(rounds, "after_iteration=1", { "If-None-Match": '"v0"' });
  await rounds.contribute("a", 3);
  for (const each of [json, binary, later]) assert.equal(await isSettled(each), false);
  await rounds.contribute("b", 4);
  const response = await json;
  assert.equal(response.headers.get("Preference-Applied"), "wait=50");
  assert.equal(response.headers.get("ETag"), '"v1"');
  assert.equal((await answer(getVariables, response)).variables.w, -7);
  const { metadata, values } = readFile(await (await binary).bytes());
  assert.deepEqual([metadata["iterations"], values["w"]], ["1", [-7]]);
  assert.equal(await isSettled(later), false);
  for (const client of ["a", "b"]) await rounds.contribute(client);
  assert.equal((await answer(getVariables, await later)).iterations, 2);
});

Deno.test("a waiting get_variables does not end with a change other than a step", async () => {
  await using rounds = await startRounds(IMMEDIATE);
  const { send } = rounds.service;
  const waiting = wait(rounds, "after_iteration=0");
  await send("PUT", `${RUN}/variables`, { body: { variables: { w: 5 } } });
  assert.equal(await isSettled(waiting), false);
  await rounds.contribute("a", 1);
  assert.deepEqual(await answer(getVariables, await waiting), {
    iterations: 1,
    version: 2,
    variables: { w: 4 },
  });
});

Deno.test("a waiting get_variables gets 304 when the time is over, and when the service is told to stop", async () => {
  await using rounds = await startRounds(undefined, { STEPWELL_WAIT_SECONDS_MAX: 0.02 });
  const response = await wait(rounds, "after_iteration=0");
  assert.equal(response.headers.get("Preference-Applied"), "wait=0.02");
  await assertNotModified(response, 0);
  await using stopped = await startRounds();
  const waiting = wait(stopped, "after_iteration=0");
  assert.equal(await isSettled(waiting), false);
  stopped.stopping.abort();
  await assertNotModified(await waiting, 0);
  await assertNotModified(await wait(stopped, "after_iteration=0"), 0);
});

Deno.test("get_variables does not wait if it refuses", async () => {
  await using rounds = await startRounds();
  const bad = ["after_iteration=-1", "after_iteration=", "after_iteration=x", "after_iteration=1e3"];
  for (const query of [...bad, "after_iteration=0&after_iteration=1", "after_iteration=9999999999999999"]) {
    const { issues } = await assertProblem(await wait(rounds, query), "invalid_request", 422);
    assert.ok(issues.some(({ path }) => path.includes("after_iteration")), query);
  }
  await assertProblem(await wait(rounds, "after_iteration=0&name=nope"), "unknown_variable", 422);
  await assertProblem(
    await wait(rounds, "after_iteration=0", { Accept: "image/png" }),
    "not_acceptable",
    406,
  );
});

Deno.test("a waiting get_variables learns that the run is gone, or answers from the run that replaced it", async () => {
  await using rounds = await startRounds(IMMEDIATE);
  const { send } = rounds.service;
  await rounds.contribute("a", 3);
  const checkpoint = await (await send("GET", `${RUN}/checkpoint`)).bytes();
  const waiting = wait(rounds, "after_iteration=1");
  assert.equal(await isSettled(waiting), false);
  assert.equal((await send("PUT", `${RUN}/checkpoint`, { body: checkpoint })).status, 200);
  await assertNotModified(await waiting, 2);
  const last = wait(rounds, "after_iteration=1");
  assert.equal(await isSettled(last), false);
  assert.equal((await send("DELETE", RUN)).status, 204);
  await assertProblem(await last, "unknown_run", 404);
});
