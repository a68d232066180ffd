/** Rounds: contributions and their answers, the open round, and withdrawals. */
import assert from "node:assert/strict";
import * as applyGradients from "../../routes/apply_gradients.ts";
import * as createRun from "../../routes/create_run.ts";
import * as getRound from "../../routes/get_round.ts";
import * as getRun from "../../routes/get_run.ts";
import * as getVariables from "../../routes/get_variables.ts";
import * as listSteps from "../../routes/list_steps.ts";
import { answer } from "./support/contract.ts";
import { assertProblem, f32, file, FILE_TYPE, readFile, startService } from "./support/harness.ts";
import { RUN, startRounds, STEP } from "./support/rounds.ts";

const ROUND = `${RUN}/rounds/current`;
const withdraw = `${ROUND}/contributions`;

Deno.test("create_run shows the aggregation with every default, and accepts what it shows", async () => {
  const { send } = startService();
  const spec = {
    optimizer: "SGD",
    variables: [{ name: "w", shape: [2], role: "average" }, { name: "b", shape: [] }],
  };
  const common = {
    aggregator: { class_name: "Sum", config: {} },
    payload: "gradient",
    staleness_weighting: { class_name: "Constant", config: {} },
    client_clipnorm: null,
    noise: null,
  };
  const cases = [
    [{ mode: "immediate" }, { mode: "immediate", max_staleness: null, ...common }, null],
    [
      { mode: "round", quorum: 3 },
      { mode: "round", quorum: 3, minimum: 3, deadline_seconds: null, max_staleness: 0, ...common },
      0,
    ],
    [
      { mode: "buffer", buffer_size: 5 },
      { mode: "buffer", buffer_size: 5, max_staleness: null, ...common },
      0,
    ],
    [
      {
        mode: "round",
        quorum: 3,
        minimum: 1,
        deadline_seconds: 0.5,
        aggregator: "Mean",
        payload: "delta",
        max_staleness: null,
        staleness_weighting: { class_name: "Polynomial", config: { exponent: 0.5 } },
        client_clipnorm: 2,
        noise: { stddev: 0.5, seed: 2 ** 32 - 1 },
      },
      {
        mode: "round",
        quorum: 3,
        minimum: 1,
        deadline_seconds: 0.5,
        aggregator: { class_name: "Mean", config: {} },
        payload: "delta",
        max_staleness: null,
        staleness_weighting: { class_name: "Polynomial", config: { exponent: 0.5 } },
        client_clipnorm: 2,
        noise: { stddev: 0.5, seed: 2 ** 32 - 1 },
      },
      0,
    ],
  ] as const;
  for (const [aggregation, shown, round] of cases) {
    const body = { ...spec, aggregation };
    const run = await answer(createRun, await send("POST", "/v1/runs", { body }), 201);
    assert.deepEqual(run.aggregation, shown);
    assert.equal(run.round, round);
    assert.deepEqual(run.variables.map(({ role }: { role: string }) => role), ["average", "optimize"]);
    const again = await send("POST", "/v1/runs", { body: { ...spec, aggregation: run.aggregation } });
    assert.deepEqual((await answer(createRun, again, 201)).aggregation, shown);
  }
});

Deno.test("apply_gradients answers 202 while the round is open, and 200 with the step that closes it", async () => {
  await using rounds = await startRounds();
  const { service: { send } } = rounds;
  const first = await rounds.contribute("a", 3);
  assert.equal(first.headers.get("ETag"), '"v0"');
  assert.equal(first.headers.get("Preference-Applied"), null);
  assert.deepEqual(await answer(applyGradients, first, 202), {
    applied: false,
    accepted: true,
    round: 0,
    iterations: 0,
    version: 0,
    contributions: 1,
    missing: 1,
    deadline: "1970-01-01T00:01:00.000Z",
    staleness: 0,
    weight: 1,
    gradient_norm: 3,
    clip_factor: 1,
    variables: { w: { gradient_norm: 3 } },
    warnings: [],
  });
  const second = await rounds.contribute("b", 4);
  assert.equal(second.headers.get("ETag"), '"v1"');
  const step = await answer(applyGradients, second);
  assert.deepEqual([step.applied, step.round, step.contributions, step.iterations], [true, 0, 2, 1]);
  assert.deepEqual((await answer(listSteps, await send("GET", `${RUN}/steps`))).steps, [step]);
  assert.equal((await answer(getVariables, await send("GET", `${RUN}/variables`))).variables.w, -7);
  assert.equal((await answer(getRun, await send("GET", RUN))).round, 1);
});

Deno.test("apply_gradients with a file is a contribution too, and the step has its values if Prefer asks", async () => {
  await using rounds = await startRounds();
  const headers = { Prefer: "return=representation", Accept: FILE_TYPE };
  const body = (client_id: string) =>
    file({ w: f32([], [2]) }, { client_id, weight: "5", base_iteration: "0" });
  const { send } = rounds.service;
  const first = await send("POST", STEP, { body: body("a"), headers });
  assert.equal((await answer(applyGradients, first, 202)).weight, 5);
  const second = await send("POST", STEP, { body: body("b"), headers });
  assert.equal(second.headers.get("Preference-Applied"), "return=representation");
  const { metadata, values } = readFile(await second.bytes());
  assert.deepEqual([metadata["round"], metadata["applied"], values["w"]], ["0", "true", [-4]]);
});

Deno.test("a dry run of a contribution gets 200 with the figures that it would have had", async () => {
  await using rounds = await startRounds();
  const { send } = rounds.service;
  const body = { gradients: { w: 2 }, client_id: "a" };
  const dry = await send("POST", `${STEP}?dry_run=true`, { body, headers: { Prefer: "wait=50" } });
  const told = await answer(applyGradients, dry);
  assert.deepEqual([told.applied, told.accepted, told.contributions, told.missing], [false, false, 0, 2]);
  assert.equal((await answer(getRound, await send("GET", ROUND))).accepted, 0);
});

Deno.test("get_round lists the contributions in the order of acceptance", async () => {
  await using rounds = await startRounds({ mode: "buffer", buffer_size: 4 });
  const { service: { send } } = rounds;
  await send("POST", STEP, { body: { gradients: { w: 3 }, client_id: "b", weight: 2 } });
  rounds.pass(1);
  await send("POST", STEP, { body: { gradients: { w: -4 } } });
  await rounds.contribute("a", 5);
  const each = { weight: 1, staleness: 0, accepted_at: "1970-01-01T00:00:01.000Z" };
  assert.deepEqual(await answer(getRound, await send("GET", ROUND)), {
    round: 0,
    mode: "buffer",
    iterations: 0,
    version: 0,
    accepted: 3,
    missing: 1,
    deadline: null,
    contributions: [
      { ...each, client_id: "b", weight: 2, gradient_norm: 3, accepted_at: "1970-01-01T00:00:00.000Z" },
      { ...each, client_id: null, gradient_norm: 4 },
      { ...each, client_id: "a", gradient_norm: 5 },
    ],
  });
});

Deno.test("get_round of a run in mode immediate has no number and no contributions", async () => {
  await using rounds = await startRounds({ mode: "immediate" });
  await rounds.contribute("a");
  const round = await answer(getRound, await rounds.service.send("GET", ROUND));
  assert.deepEqual([round.round, round.mode, round.iterations, round.contributions], [
    null,
    "immediate",
    1,
    [],
  ]);
});

Deno.test("withdraw_contribution removes a contribution as if it had never come, whatever the client's name", async () => {
  await using rounds = await startRounds();
  const { service: { send } } = rounds;
  for (const name of ["a", "a/b", "ü %2F?#", "...", "%2E%2E"]) {
    assert.equal((await rounds.contribute(name, 100)).status, 202, name);
    const path = encodeURIComponent(name);
    const response = await send("DELETE", `${withdraw}/${path}`);
    assert.equal(response.status, 204, await response.text());
    const round = await answer(getRound, await send("GET", ROUND));
    assert.deepEqual([round.accepted, round.missing, round.deadline], [0, 2, null]);
    await assertProblem(await send("DELETE", `${withdraw}/${path}`), "unknown_contribution", 404);
  }
  for (const name of ["a", "b"]) await rounds.contribute(name);
  const { variables } = await answer(getVariables, await send("GET", `${RUN}/variables`));
  assert.equal(variables.w, -2);
});

Deno.test("withdraw_contribution honours If-Match", async () => {
  await using rounds = await startRounds();
  const { service: { send } } = rounds;
  await rounds.contribute("a");
  const to = (tag: string) => send("DELETE", `${withdraw}/a`, { headers: { "If-Match": tag } });
  await assertProblem(await to('"v1"'), "version_mismatch", 412);
  await assertProblem(await to("v0"), "malformed_header", 400);
  assert.equal((await to('"v0"')).status, 204);
});
