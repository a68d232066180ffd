/** `Prefer: wait` with a contribution: a waiting client gets the step of its round, or learns why there is none. */
import assert from "node:assert/strict";
import * as applyGradients from "../../../routes/apply_gradients.ts";
import * as getRound from "../../../routes/get_round.ts";
import { IO_ERROR } from "../../store/support/disk.ts";
import { send } from "../../run/support/harness.ts";
import { until } from "../../support/waiting.ts";
import { answer } from "../support/contract.ts";
import { assertProblem, FILE_TYPE, readFile } from "../support/harness.ts";
import { isSettled, type Rounds, RUN, startRounds } from "../support/rounds.ts";

const WAIT = { wait: 50 };
/** For waits that are to time out. */
const SHORT = { STEPWELL_WAIT_SECONDS_MAX: 0.02 };
const CONTRIBUTIONS = `${RUN}/rounds/current/contributions`;

/** A client's contribution; the client is waiting for its step. */
async function waiting(rounds: Rounds, clientId: string, options: object = {}): Promise<Promise<Response>[]> {
  const response = rounds.contribute(clientId, 1, { ...WAIT, ...options });
  const { registry } = rounds.world;
  await until(() => registry.get("demo").round().contributions.some((each) => each.client_id === clientId));
  assert.equal(await isSettled(response), false);
  // In an array: a bare promise would be awaited too.
  return [response];
}

Deno.test("a waiting client gets the step that another's contribution makes", async () => {
  await using rounds = await startRounds();
  const [first] = await waiting(rounds, "a");
  const second = await rounds.contribute("b", 1, WAIT);
  assert.equal(second.headers.get("Preference-Applied"), null);
  const step = await answer(applyGradients, second);
  const response = await first as Response;
  assert.equal(response.headers.get("Preference-Applied"), "wait=50");
  assert.equal(response.headers.get("ETag"), '"v1"');
  assert.deepEqual(await answer(applyGradients, response), step);
  assert.equal(step.contributions, 2);
});

Deno.test("a waiting client gets the step that is made at the deadline", async () => {
  await using rounds = await startRounds();
  const [first] = await waiting(rounds, "a");
  rounds.pass(60);
  const step = await answer(applyGradients, await first as Response);
  assert.deepEqual([step.applied, step.contributions, step.round], [true, 1, 0]);
});

Deno.test("a waiting client learns that the round was dropped at its deadline", async () => {
  await using rounds = await startRounds({ mode: "round", quorum: 3, minimum: 2, deadline_seconds: 60 });
  const [first] = await waiting(rounds, "a");
  rounds.pass(60);
  const response = await first as Response;
  assert.equal(response.headers.get("Preference-Applied"), null);
  const { detail } = await assertProblem(response, "round_dropped", 409);
  assert.match(
    detail,
    /round 0: it was dropped: at its deadline it had 1 of the 2 contributions that it needs/,
  );
});

Deno.test("a waiting client gets 202 when its time is over, and its contribution counts", async () => {
  await using rounds = await startRounds({ mode: "round", quorum: 3 }, SHORT);
  for (const [wait, granted] of [[1000, "wait=0.02"], [0, "wait=0"]] as const) {
    const response = await rounds.contribute(`client ${wait}`, 1, { wait });
    assert.equal(response.headers.get("Preference-Applied"), granted);
    await answer(applyGradients, response, 202);
  }
  assert.equal((await answer(applyGradients, await rounds.contribute("b"))).contributions, 3);
});

Deno.test("an invalid wait is ignored", async () => {
  await using rounds = await startRounds({ mode: "buffer", buffer_size: 100 });
  for (
    const Prefer of ["wait", "wait=", "wait=-1", "wait=1.5", "wait=soon", 'wait="', "wait=1 0", "await=50"]
  ) {
    const response = await rounds.contribute(Prefer, 1, { headers: { Prefer } });
    assert.equal(response.headers.get("Preference-Applied"), null, Prefer);
    await answer(applyGradients, response, 202);
  }
});

Deno.test("a waiting client holds no upload place, no staging and no key", async () => {
  await using rounds = await startRounds();
  const { service, world } = rounds;
  const [first] = await waiting(rounds, "a", { key: "key" });
  assert.deepEqual([service.uploads.open, world.registry.figures().stagingBytes], [0, 0]);
  const again = rounds.contribute("a", 1, { ...WAIT, key: "key" });
  assert.equal(await isSettled(again), false);
  await answer(applyGradients, await rounds.contribute("a", 1, { key: "key" }), 202);
  await rounds.contribute("b");
  const step = await answer(applyGradients, await first as Response);
  const replayed = await again;
  assert.equal(replayed.headers.get("Idempotency-Replayed"), "true");
  assert.equal(replayed.headers.get("Preference-Applied"), "wait=50");
  assert.deepEqual(await answer(applyGradients, replayed), step);
  assert.equal(world.registry.get("demo").round().accepted, 0);
});

Deno.test("a waiting client learns of its withdrawal, and others continue to wait", async () => {
  await using rounds = await startRounds({ mode: "round", quorum: 3 });
  const { send } = rounds.service;
  const [withdrawn] = await waiting(rounds, "a");
  const [other] = await waiting(rounds, "b");
  assert.equal((await send("DELETE", `${CONTRIBUTIONS}/a`)).status, 204);
  const { detail } = await assertProblem(await withdrawn as Response, "contribution_withdrawn", 409);
  assert.match(detail, /client "a" was withdrawn/);
  const [anew] = await waiting(rounds, "a");
  await rounds.contribute("c");
  for (const response of [other, anew]) await answer(applyGradients, await response as Response);
});

Deno.test("a waiting client learns that the run is gone", async () => {
  for (const replaced of [false, true]) {
    await using rounds = await startRounds();
    const { service: { send } } = rounds;
    const checkpoint = await (await send("GET", `${RUN}/checkpoint`)).bytes();
    const [first] = await waiting(rounds, "a");
    const { status } = replaced
      ? await send("PUT", `${RUN}/checkpoint`, { body: checkpoint })
      : await send("DELETE", RUN);
    assert.equal(status, replaced ? 200 : 204);
    const gone = await first as Response;
    await (replaced ? assertProblem(gone, "run_replaced", 409) : assertProblem(gone, "unknown_run", 404));
  }
});

Deno.test("a waiting client gets its 202 when the service is told to stop", async () => {
  await using rounds = await startRounds();
  const [first] = await waiting(rounds, "a");
  rounds.stopping.abort();
  const told = await answer(applyGradients, await first as Response, 202);
  assert.deepEqual([told.accepted, told.missing], [true, 1]);
});

Deno.test("a waiting client gets the step's values if it asks, unless the run is past them", async () => {
  await using rounds = await startRounds({ mode: "buffer", buffer_size: 2 });
  const headers = { Prefer: "return=representation, wait=50", Accept: FILE_TYPE };
  const [first] = await waiting(rounds, "a", { headers });
  await rounds.contribute("b");
  const response = await first as Response;
  assert.equal(response.headers.get("Preference-Applied"), "wait=50, return=representation");
  const { metadata, values } = readFile(await response.bytes());
  assert.deepEqual([metadata["version"], values["w"]], ["1", [-2]]);

  const [late] = await waiting(rounds, "a", { headers });
  const session = rounds.world.registry.get("demo");
  // In one turn: no waiting client runs in between.
  for (const clientId of ["b", "c", "d"]) send(session, { w: 1 }, { clientId });
  assert.equal(session.version, 3);
  const plain = await late as Response;
  assert.equal(plain.headers.get("Preference-Applied"), "wait=50");
  assert.equal(plain.headers.get("ETag"), '"v2"');
  assert.equal((await answer(applyGradients, plain)).version, 2);
});

Deno.test("a repeated key gets its first answer, or the step if it waits", async () => {
  await using rounds = await startRounds({ mode: "round", quorum: 2, minimum: 2, deadline_seconds: 60 });
  const told = await answer(applyGradients, await rounds.contribute("a", 1, { key: "applied" }), 202);
  const step = await answer(applyGradients, await rounds.contribute("b"));
  const again = (key: string, options: object = {}) => rounds.contribute("a", 1, { key, ...options });
  assert.deepEqual(await answer(applyGradients, await again("applied"), 202), told);
  for (const wait of [0, 50]) {
    assert.deepEqual(await answer(applyGradients, await again("applied", { wait })), step);
  }

  await again("dropped");
  rounds.pass(60);
  await answer(applyGradients, await again("dropped"), 202);
  await assertProblem(await again("dropped", WAIT), "round_dropped", 409);

  await again("withdrawn");
  await rounds.service.send("DELETE", `${CONTRIBUTIONS}/a`);
  await assertProblem(await again("withdrawn", WAIT), "contribution_withdrawn", 409);

  // The outcome of a round is forgotten in the end. Then a request does not wait for it.
  for (let round = 0; round < 70; round++) for (const client of ["a", "b"]) await rounds.contribute(client);
  assert.deepEqual(await answer(applyGradients, await again("applied", WAIT), 202), told);
});

Deno.test("no answer shows a step that is not on disk", async () => {
  for (const fails of [false, true]) {
    await using rounds = await startRounds();
    const { world, service } = rounds;
    const [first] = await waiting(rounds, "a");
    const { promise, resolve } = Promise.withResolvers<void>();
    world.disk.pause = () => promise;
    if (fails) {
      world.disk.fault = (operation) => {
        if (operation === "flush") throw new Error(IO_ERROR);
      };
    }
    const second = rounds.contribute("b");
    await until(() => world.registry.get("demo").iterations === 1);
    assert.deepEqual([await isSettled(first as Promise<Response>), await isSettled(second)], [false, false]);
    resolve();
    for (const each of [first, second]) {
      const response = await each as Response;
      if (fails) await assertProblem(response, "storage_failed", 503);
      else await answer(applyGradients, response);
    }
    world.disk.fault = () => {};
    world.disk.pause = () => Promise.resolve();
    const round = await answer(getRound, await service.send("GET", `${RUN}/rounds/current`));
    assert.deepEqual([round.round, round.iterations], fails ? [0, 0] : [1, 1]);
  }
});
