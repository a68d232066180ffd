/** Requests that must be refused while a round is open, without a change of the round. */
import assert from "node:assert/strict";
import type { ErrorCode } from "../../../src/errors.ts";
import { assertProblem, GRADIENTS, type Service, SPEC, startService, stateOf } from "../support/harness.ts";
import { TARGETS } from "../support/rejection_targets.ts";
import { common, named, type Rejection, row, STATUSES, type Target } from "../support/rejections.ts";
import { LIMITED, startWithTokens } from "../support/tokens.ts";

const ROUND = "/v1/runs/demo/rounds/current";

const statusOf = (code: ErrorCode): number | undefined =>
  ({
    contribution_repeated: 409,
    iterations_exhausted: 409,
    too_stale: 409,
    not_withdrawable: 409,
    unknown_contribution: 404,
    unknown_run: 404,
    sparse_with_aggregator: 422,
    ...STATUSES,
  } as Partial<Record<ErrorCode, number>>)[code];

/** A run at its second iteration and version, with a contribution of client a in its open round. */
async function startRound(aggregation: object = {}, more: object = {}): Promise<Service> {
  const service = startWithTokens(LIMITED);
  const step = (query: string, body: object) =>
    service.send("POST", `/v1/runs/demo/gradients${query}`, { body: { gradients: GRADIENTS, ...body } });
  const body = { ...SPEC, ...more, id: "demo", aggregation: { mode: "round", quorum: 3, ...aggregation } };
  const created = await service.send("POST", "/v1/runs", { body });
  assert.equal(created.status, 201, await created.text());
  const stepped = await step("?aggregate=false", {});
  assert.equal(stepped.status, 200, await stepped.text());
  const contributed = await step("", { client_id: "a" });
  assert.equal(contributed.status, 202, await contributed.text());
  return service;
}

async function assertRefused(
  service: Service,
  { method, path: base }: Pick<Target, "method" | "path">,
  { what, code, body, headers = {}, path = "", at }: Rejection,
): Promise<void> {
  const all = async () => await stateOf(service) + await (await service.send("GET", ROUND)).text();
  const before = await all();
  const response = await service.send(method, path.startsWith("/") ? path : base + path, { body, headers });
  const { issues } = await assertProblem(response, code, statusOf(code));
  if (at !== undefined) assert.ok(issues.some((issue) => issue.path.includes(at)), JSON.stringify(issues));
  assert.equal(await all(), before, what);
}

const target = TARGETS["apply_gradients"] as Target;
const good = { gradients: { scale: 1 } };
const CONTRIBUTIONS: readonly Rejection[] = [
  ...common(target),
  ...named("gradients"),
  // Rows with hyperparameters get another code in a round.
  ...target.rejections.filter(({ body }) => !JSON.stringify(body ?? "").includes("hyperparameters")),
  row("a client that has contributed", "contribution_repeated", { ...good, client_id: "a" }),
  row("a base_iteration too far back", "too_stale", { ...good, base_iteration: 0 }),
  row("hyperparameters", "invalid_request", { ...good, hyperparameters: { learning_rate: 1 } }, {
    at: "hyperparameters",
  }),
  row("a client that no path can name", "invalid_request", { ...good, client_id: ".." }, { at: "client_id" }),
  row("half a surrogate pair", "invalid_request", '{"gradients":{"scale":1},"client_id":"\\ud800"}', {
    at: "client_id",
  }),
  row("a client of 257 letters", "invalid_request", { ...good, client_id: "a".repeat(257) }, {
    at: "client_id",
  }),
];

Deno.test(`apply_gradients refuses ${CONTRIBUTIONS.length} kinds of bad contributions to an open round`, async (t) => {
  const service = await startRound();
  for (const rejection of CONTRIBUTIONS) {
    await t.step(rejection.what, () => assertRefused(service, target, rejection));
  }
  assert.equal(service.uploads.open, 0);
  assert.equal(service.registry.figures().stagingBytes, 0);
  // The round's step is the same as without the refused contributions.
  assert.equal(await closed(service), await closed(await startRound()));
});

/** Closes the round. Returns everything that a caller can see then. */
async function closed(service: Service): Promise<string> {
  for (const [client_id, status] of [["b", 202], ["c", 200]] as const) {
    const response = await service.send("POST", target.path, { body: { ...good, client_id } });
    assert.equal(response.status, status, await response.text());
  }
  return await stateOf(service);
}

const ROWS = { emb: { indices: [0], values: [[1, 2]] } };

Deno.test("apply_gradients refuses rows if whole tensors are needed", async () => {
  const averaged = {
    variables: SPEC.variables.map((each) => each.name === "emb" ? { ...each, role: "average" } : each),
  };
  const dense = { ...GRADIENTS, emb: [[0, 0], [0, 0], [0, 0], [0, 0]] };
  for (const [aggregation, more] of [[{ noise: { stddev: 1, seed: 1 } }, {}], [{}, averaged]] as const) {
    const service = startService();
    const body = { ...SPEC, ...more, id: "demo", aggregation: { mode: "round", quorum: 3, ...aggregation } };
    assert.equal((await service.send("POST", "/v1/runs", { body })).status, 201);
    const { status } = await service.send("POST", target.path, { body: { gradients: dense } });
    assert.equal(status, 202);
    const rejection = row("rows", "sparse_with_aggregator", { gradients: ROWS }, { at: "gradients.emb" });
    await assertRefused(service, target, rejection);
  }
});

Deno.test("apply_gradients refuses an incomplete contribution to an aggregator that compares them", async () => {
  const service = startService();
  const aggregation = { mode: "round", quorum: 3, aggregator: "Median" };
  assert.equal(
    (await service.send("POST", "/v1/runs", { body: { ...SPEC, id: "demo", aggregation } })).status,
    201,
  );
  const rejection = row("an incomplete one", "invalid_request", good, { at: "gradients.kernel" });
  await assertRefused(service, target, rejection);
});

Deno.test("apply_gradients refuses a step beyond the last iteration", async () => {
  for (const mode of ["immediate", "round"]) {
    const service = startService();
    const aggregation = { mode, ...mode === "round" && { quorum: 2 } };
    const body = { ...SPEC, optimizer: "SGD", id: "demo", aggregation };
    assert.equal((await service.send("POST", "/v1/runs", { body })).status, 201);
    const set = await service.send("PUT", "/v1/runs/demo/weights", { body: { weights: [2 ** 53 - 1] } });
    assert.equal(set.status, 200, await set.text());
    await assertRefused(service, target, row("a step", "iterations_exhausted", good));
    const weights = await (await service.send("GET", "/v1/runs/demo/weights")).text();
    assert.equal(weights, `{"weights":[${2 ** 53 - 1}]}`);
    const checkpoint = await service.send("GET", "/v1/runs/demo/checkpoint");
    const restored = await service.send("PUT", "/v1/runs/copy/checkpoint", {
      body: await checkpoint.bytes(),
    });
    assert.equal(restored.status, 201, await restored.text());
    assert.match(await (await service.send("GET", "/v1/runs/copy")).text(), /"iterations":9007199254740991,/);
  }
});

const withdrawal = { method: "DELETE", path: `${ROUND}/contributions/a` };
const WITHDRAWALS: readonly Rejection[] = [
  row("a client that has not contributed", "unknown_contribution", undefined, {
    path: `${ROUND}/contributions/b`,
  }),
  row("a run that is not there", "unknown_run", undefined, {
    path: "/v1/runs/nope/rounds/current/contributions/a",
  }),
  row("an id that cannot be", "invalid_request", undefined, {
    path: "/v1/runs/.x/rounds/current/contributions/a",
    at: "path.run",
  }),
  row("a client of 257 letters", "invalid_request", undefined, {
    path: `${ROUND}/contributions/${"a".repeat(257)}`,
    at: "path.client_id",
  }),
  row("a malformed If-Match", "malformed_header", undefined, { headers: { "If-Match": "v1" } }),
  row("another version", "version_mismatch", undefined, { headers: { "If-Match": '"v7"' } }),
  row("a weak tag", "version_mismatch", undefined, { headers: { "If-Match": 'W/"v1"' } }),
  row("a version that must not be", "version_mismatch", undefined, { headers: { "If-None-Match": '"v1"' } }),
  row("an unknown query parameter", "invalid_request", undefined, { path: "?surprise=1", at: "query" }),
];

Deno.test(`withdraw_contribution refuses ${WITHDRAWALS.length} kinds of bad requests`, async (t) => {
  const service = await startRound();
  for (const rejection of WITHDRAWALS) {
    await t.step(rejection.what, () => assertRefused(service, withdrawal, rejection));
  }
  assert.equal((await service.send("DELETE", withdrawal.path)).status, 204);
});

Deno.test("withdraw_contribution refuses to change a sum that no journal can restore", async () => {
  const service = await startRound({}, { durability: "none" });
  const { status } = await service.send("POST", target.path, { body: { ...good, client_id: "b" } });
  assert.equal(status, 202);
  await assertRefused(service, withdrawal, row("part of a sum", "not_withdrawable", undefined));
});

Deno.test("get_round and get_events refuse unknown runs and parameters", async () => {
  const service = await startRound();
  for (const path of [ROUND, "/v1/runs/demo/events"]) {
    const operation = { method: "GET", path };
    const unknown = path.replace("demo", "nope");
    await assertRefused(service, operation, row("no run", "unknown_run", undefined, { path: unknown }));
    await assertRefused(
      service,
      operation,
      row("an unknown query parameter", "invalid_request", undefined, { path: "?surprise=1", at: "query" }),
    );
  }
  const long = `?last_event_id=${"1".repeat(65)}`;
  await assertRefused(
    service,
    { method: "GET", path: "/v1/runs/demo/events" },
    row("a long id", "invalid_request", undefined, { path: long, at: "query.last_event_id" }),
  );
});
