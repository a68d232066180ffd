/** Null for an optional field is the field left out, wherever a schema does not give null a meaning. */
import assert from "node:assert/strict";
import { z } from "zod";
import { readDefinition } from "../src/families/optimizers/custom/custom_member.ts";
import { withoutNulls } from "../src/nulls.ts";
import { startService } from "./routes/support/harness.ts";
import { SIGNUM } from "./support/signum.ts";

const Inside = z.strictObject({ a: z.number().optional(), b: z.number().nullable().optional() });
const Outside = z.strictObject({
  needed: z.number(),
  any: z.unknown().optional(),
  one: Inside.optional(),
  list: z.array(Inside).optional(),
  named: z.record(z.string(), Inside).default({}),
  free: z.record(z.string(), z.unknown()).optional(),
});

Deno.test("withoutNulls() drops nulls of optional fields, at any depth, and no others", () => {
  const given = {
    needed: null,
    any: null,
    one: { a: null, b: null },
    list: [{ a: 1 }, { a: null }, null],
    named: { x: { a: null }, __proto__x: { b: null } },
    free: { a: null },
    strange: null,
  };
  const copy = structuredClone(given);
  assert.deepEqual(withoutNulls(Outside, given), {
    needed: null,
    one: { b: null },
    list: [{ a: 1 }, {}, null],
    named: { x: {}, __proto__x: { b: null } },
    free: { a: null },
    strange: null,
  });
  assert.deepEqual(given, copy);
  const none = { needed: 1, one: { a: 1 }, list: [{ a: 2 }] };
  assert.equal(withoutNulls(Outside, none), none);
  for (const other of [null, 1, "x", [null]]) assert.equal(withoutNulls(Outside, other), other);
});

Deno.test("null in a definition is the same as nothing", () => {
  const { beta, learning_rate } = SIGNUM.hyperparameters;
  const given = {
    ...SIGNUM,
    summary: null,
    state: null,
    scalars: null,
    sparse: null,
    hyperparameters: {
      learning_rate: { ...learning_rate, minimum: null },
      beta: { ...beta, schedule: null },
    },
  };
  assert.deepEqual(readDefinition(given), readDefinition(SIGNUM));
});

Deno.test("requests with null for every optional field are those without them", async () => {
  const { send, losses } = startService();
  using _losses = { [Symbol.dispose]: () => losses.close() };
  const sent = async (method: string, path: string, body: unknown, status: number) => {
    const response = await send(method, path, { body });
    const text = await response.text();
    assert.equal(response.status, status, text);
    const { created_at: _, version: __, iterations: ___, id: ____, ...rest } = JSON.parse(text);
    return rest;
  };
  const run = { optimizer: "SGD", variables: [{ name: "w", shape: [2] }] };
  const nulls = {
    id: null,
    aggregation: null,
    gradient_transformers: null,
    non_finite: null,
    durability: null,
    optimizer: { class_name: "SGD", config: null },
    variables: [{ name: "w", shape: [2], initial: null, constraint: null, role: null }],
  };
  assert.deepEqual(await sent("POST", "/v1/runs", nulls, 201), await sent("POST", "/v1/runs", run, 201));
  const rounds = { mode: "round", quorum: 1 };
  const optional = {
    minimum: null,
    buffer_size: null,
    aggregator: null,
    payload: null,
    staleness_weighting: null,
  };
  assert.deepEqual(
    await sent("POST", "/v1/runs", { ...run, aggregation: { ...rounds, ...optional } }, 201),
    await sent("POST", "/v1/runs", { ...run, aggregation: rounds }, 201),
  );
  const id = "run-1";
  const gradients = { gradients: { w: [1, 2] } };
  const fields = { base_iteration: null, client_id: null, weight: null, hyperparameters: null, loss: null };
  const path = `/v1/runs/${id}/gradients?dry_run=true`;
  assert.deepEqual(
    await sent("POST", path, { ...gradients, ...fields }, 200),
    await sent("POST", path, gradients, 200),
  );
  const loss = { loss: "sum(w * w)" };
  const more = { model: null, inputs: null, targets: null, training: null, var_list: null, grad_loss: null };
  const minimize = `/v1/runs/${id}/minimize?dry_run=true`, compute = `/v1/runs/${id}/compute-gradients`;
  assert.deepEqual(
    await sent("POST", compute, { ...loss, ...more }, 200),
    await sent("POST", compute, loss, 200),
  );
  assert.deepEqual(
    await sent("POST", minimize, { ...loss, ...more, client_id: null, weight: null }, 200),
    await sent("POST", minimize, loss, 200),
  );
});
