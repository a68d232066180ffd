/** Registered optimizers over HTTP, checked against the documented schemas. */
import assert from "node:assert/strict";
import * as createRun from "../../routes/create_run.ts";
import * as getCatalog from "../../routes/get_catalog.ts";
import * as getDefinition from "../../routes/get_optimizer_definition.ts";
import * as register from "../../routes/register_optimizer.ts";
import { OptimizerDefinitionRequest } from "../../routes/contract/optimizer_schemas.ts";
import { catalog } from "../../src/families/catalog.ts";
import { SIGNUM } from "../support/signum.ts";
import { answer } from "./support/contract.ts";
import { assertProblem, startService } from "./support/harness.ts";
import { common, STATUSES } from "./support/rejections.ts";
import { LIMITED, startWithTokens } from "./support/tokens.ts";

const FULL = {
  ...SIGNUM,
  summary: "",
  description: "",
  hyperparameters: {
    learning_rate: { default: 0.01, minimum: null, maximum: null, schedule: true },
    beta: { default: 0.9, minimum: 0, maximum: 1, schedule: false },
  },
  slot_order: "slot",
  state: {},
  doubles: [],
  scalars: [],
  sparse_as_dense: false,
  sparse: null,
};

Deno.test("register_optimizer answers 201 with the whole definition, and 200 the next time", async () => {
  const { send } = startService();
  const response = await send("POST", "/v1/optimizers", { body: SIGNUM });
  assert.equal(response.headers.get("Location"), "/v1/optimizers/Signum");
  assert.deepEqual(await answer(register, response, 201), FULL);
  assert.deepEqual(await answer(register, await send("POST", "/v1/optimizers", { body: SIGNUM }), 200), FULL);
  assert.deepEqual(await answer(register, await send("POST", "/v1/optimizers", { body: FULL }), 200), FULL);
  for (const name of ["Signum", "signum"]) {
    assert.deepEqual(await answer(getDefinition, await send("GET", `/v1/optimizers/${name}`)), FULL);
  }
});

Deno.test("get_catalog shows a registered optimizer like the built-in ones", async () => {
  const { send } = startService();
  const before = await answer(getCatalog, await send("GET", "/v1/catalog"));
  assert.deepEqual(before.optimizers, JSON.parse(JSON.stringify(catalog().optimizers)));
  await send("POST", "/v1/optimizers", { body: SIGNUM });
  const { optimizers } = await answer(getCatalog, await send("GET", "/v1/catalog"));
  assert.equal(optimizers.length, before.optimizers.length + 1);
  const { custom, attributes, variants, config } = optimizers.at(-1);
  assert.equal(custom, true);
  assert.deepEqual(variants, [{ config: {}, definition: FULL }]);
  assert.deepEqual(attributes, ["clipnorm", "clipvalue", "global_clipnorm", "learning_rate", "beta"]);
  assert.deepEqual(config.properties.beta, {
    description: "The hyperparameter beta.",
    default: 0.9,
    type: "number",
    minimum: 0,
    maximum: 1,
  });
  await send("DELETE", "/v1/optimizers/Signum");
  assert.deepEqual(await answer(getCatalog, await send("GET", "/v1/catalog")), before);
});

Deno.test("every definition of the catalogue can be registered unchanged under another name", async () => {
  const { send } = startService();
  for (const [place, { variants }] of catalog().optimizers.entries()) {
    for (const [n, { definition }] of variants.entries()) {
      const body = { ...definition, class_name: `${definition.class_name}Mine${place}_${n}` };
      assert.deepEqual(await answer(register, await send("POST", "/v1/optimizers", { body }), 201), body);
    }
  }
});

Deno.test("get_optimizer_definition also gives built-in optimizers", async () => {
  const { send } = startService();
  const { dense } = await answer(getDefinition, await send("GET", "/v1/optimizers/adam"));
  assert.deepEqual(
    dense,
    catalog().optimizers.find(({ class_name }) => class_name === "Adam")?.variants[0]?.definition.dense,
  );
});

Deno.test("get_optimizer_definition gives the optimizer of the module that the query names", async () => {
  const { send } = startService();
  for (const { class_name, module, variants } of catalog().optimizers) {
    const query = module === undefined ? "" : `?module=${module}`;
    const response = await send("GET", `/v1/optimizers/${class_name}${query}`);
    assert.deepEqual(await answer(getDefinition, response), variants[0]?.definition);
  }
  const unknown = await send("GET", "/v1/optimizers/Adam?module=nobody.optim");
  assert.deepEqual([unknown.status, (await unknown.json()).code], [404, "unknown_optimizer"]);
});

Deno.test("delete_optimizer deletes an optimizer unless a run uses it", async () => {
  const { send } = startService();
  await send("POST", "/v1/optimizers", { body: SIGNUM });
  const spec = { id: "demo", optimizer: "Signum", variables: [{ name: "w", shape: [2] }] };
  await answer(createRun, await send("POST", "/v1/runs", { body: spec }), 201);
  const { detail } = await assertProblem(
    await send("DELETE", "/v1/optimizers/Signum"),
    "optimizer_in_use",
    409,
  );
  assert.match(detail, /Cannot delete the optimizer Signum: the run "demo" uses it, must be/);
  await assertProblem(await send("DELETE", "/v1/optimizers/Adam"), "optimizer_in_use", 409);
  await send("DELETE", "/v1/runs/demo");
  assert.equal((await send("DELETE", "/v1/optimizers/Signum")).status, 204);
  await assertProblem(await send("DELETE", "/v1/optimizers/Signum"), "unknown_optimizer", 404);
  await assertProblem(await send("GET", "/v1/optimizers/Signum"), "unknown_optimizer", 404);
});

Deno.test("register_optimizer reports how the existing definition of the name differs", async () => {
  const { send } = startService();
  await send("POST", "/v1/optimizers", { body: SIGNUM });
  const dense = ["velocity = beta * velocity + g", "w = w - learning_rate * sign(velocity)"];
  const rows: [Record<string, unknown>, RegExp][] = [
    [
      { summary: "Signs." },
      /^Cannot register Signum: another definition \(it differs in summary\) has the name/,
    ],
    [
      { class_name: "sIGNUM", dense },
      /\(it differs in class_name, dense\) has the name Signum, must be the very/,
    ],
    [{ class_name: "adam" }, /a built-in optimizer has the name Adam, must be a name of its own/],
  ];
  for (const [change, wanted] of rows) {
    const response = await send("POST", "/v1/optimizers", { body: { ...SIGNUM, ...change } });
    assert.match((await assertProblem(response, "optimizer_exists", 409)).detail, wanted);
  }
});

Deno.test("get_catalog answers 304 until an optimizer is registered or deleted", async () => {
  const { send } = startService();
  const get = (etag?: string | null) =>
    send("GET", "/v1/catalog", { headers: etag ? { "If-None-Match": etag } : {} });
  const first = await get();
  const etag = first.headers.get("ETag");
  assert.match(etag ?? "", /^"[0-9a-f]{32}"$/);
  const fresh = await get(`"other", W/${etag}`);
  assert.deepEqual([fresh.status, fresh.headers.get("ETag"), await fresh.text()], [304, etag, ""]);
  await send("POST", "/v1/optimizers", { body: SIGNUM });
  const changed = await get(etag);
  assert.equal(changed.status, 200);
  assert.notEqual(changed.headers.get("ETag"), etag);
  await send("DELETE", "/v1/optimizers/Signum");
  assert.equal((await get(etag)).status, 304);
  assert.equal(await (await get()).text(), await first.text());
  await assertProblem(await get("etag"), "malformed_header", 400);
});

Deno.test("catalog() describes each optimizer once, even if others are registered later", async () => {
  const { send, registry } = startService();
  const before = catalog(registry.optimizers.family).optimizers;
  await send("POST", "/v1/optimizers", { body: SIGNUM });
  const after = catalog(registry.optimizers.family).optimizers;
  before.forEach((optimizer, n) => assert.equal(after[n], optimizer));
});

Deno.test("register_optimizer refuses bad requests and registers nothing", async () => {
  const { send } = startWithTokens(LIMITED);
  const target = { method: "POST", path: "/v1/optimizers", takesFiles: false, good: SIGNUM, rejections: [] };
  const before = await (await send("GET", "/v1/catalog")).text();
  // There is no run, so there is no version to check; a body over 64 KiB is refused before it is read, see below.
  const rows = common(target).filter(({ headers = {}, body }) =>
    !Object.keys(headers).some((name) => name.startsWith("If-")) &&
    !(typeof body === "string" && body.length > 2 ** 16)
  );
  for (const { code, body, headers, path = "" } of rows) {
    const response = await send("POST", `${target.path}${path}`, { body, ...headers && { headers } });
    // An invalid definition has its own code.
    const wanted = code === "invalid_request" && path === "" ? "invalid_definition" : code;
    await assertProblem(response, wanted, STATUSES[code]);
  }
  const large = { ...SIGNUM, description: "x".repeat(2 ** 16) };
  await assertProblem(await send("POST", "/v1/optimizers", { body: large }), "body_too_large", 413);
  const dense = ["w = w - learning_rate * sqr(g)"];
  const problem = await assertProblem(
    await send("POST", "/v1/optimizers", { body: { ...SIGNUM, dense } }),
    "invalid_definition",
    422,
  );
  assert.match(JSON.stringify(problem), /dense\.0.*line 1, column 25/);
  for (const class_name of ["ADAM", "sgd"]) {
    const body = { ...SIGNUM, class_name };
    await assertProblem(await send("POST", "/v1/optimizers", { body }), "optimizer_exists", 409);
  }
  assert.equal(await (await send("GET", "/v1/catalog")).text(), before);
});

Deno.test("definitions are accepted exactly as the document describes them", () => {
  for (const { variants } of catalog().optimizers) {
    for (const { definition } of variants) OptimizerDefinitionRequest.parse(definition);
  }
});
