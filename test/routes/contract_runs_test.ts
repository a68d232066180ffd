/** Runs: creating, listing, describing, deleting, saving and restoring them; and the catalogue. */
import assert from "node:assert/strict";
import * as createRun from "../../routes/create_run.ts";
import * as getCatalog from "../../routes/get_catalog.ts";
import * as getHealthz from "../../routes/get_healthz.ts";
import * as getReadyz from "../../routes/get_readyz.ts";
import * as getRun from "../../routes/get_run.ts";
import * as listRuns from "../../routes/list_runs.ts";
import * as putCheckpoint from "../../routes/put_checkpoint.ts";
import { answer, RUN, withRun } from "./support/contract.ts";
import { FILE_TYPE, GRADIENTS, SPEC, startRun, startService } from "./support/harness.ts";

const COMMON = { dtype: "float32", constraint: null, role: "optimize" };

Deno.test("create_run creates the run and answers with its location", async () => {
  const { send } = startService();
  const response = await send("POST", "/v1/runs", { body: { ...SPEC, id: "demo" } });
  assert.equal(response.headers.get("Location"), RUN);
  assert.equal(response.headers.get("ETag"), '"v0"');
  const run = await answer(createRun, response, 201);
  assert.deepEqual(
    { ...run, optimizer: run.optimizer.class_name },
    {
      id: "demo",
      iterations: 0,
      version: 0,
      created_at: "2025-01-31T12:00:00.000Z",
      optimizer: "Adam",
      variables: [
        { name: "kernel", shape: [2, 3], ...COMMON, constraint: { class_name: "NonNeg", config: {} } },
        { name: "bias", shape: [3], ...COMMON },
        { name: "emb", shape: [4, 2], ...COMMON },
        { name: "scale", shape: [], ...COMMON },
      ],
      slots: ["m", "v"],
      parameters: 18,
      bytes: 18 * 4 * 3,
      aggregation: {
        mode: "immediate",
        aggregator: { class_name: "Sum", config: {} },
        payload: "gradient",
        max_staleness: null,
        staleness_weighting: { class_name: "Constant", config: {} },
        client_clipnorm: null,
        noise: null,
      },
      clip_norm: null,
      round: null,
      gradient_transformers: [],
      non_finite: "reject",
      durability: "journal",
      journal_bytes: 0,
      snapshot_version: null,
      warnings: [],
    },
  );
  assert.deepEqual(await answer(getRun, await send("GET", RUN)), run);
});

Deno.test("create_run generates an id if none is given", async () => {
  const { send } = startService();
  const response = await send("POST", "/v1/runs", { body: SPEC });
  assert.equal(response.headers.get("Location"), "/v1/runs/run-1");
  assert.equal((await answer(createRun, response, 201)).id, "run-1");
});

Deno.test("create_run takes initial values in every form", async () => {
  const { send } = startService();
  const initials = {
    nested: [[1, "NaN"], ["-Infinity", "MINUS ZERO"]],
    base64: {
      dtype: "float32",
      shape: [2, 2],
      base64: new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer).toBase64(),
    },
    fill: 2.5,
    initializer: { class_name: "Ones", config: {} },
    absent: undefined,
  };
  const variables = Object.entries(initials).map(([name, initial]) => ({ name, shape: [2, 2], initial }));
  // JSON.stringify writes -0 as 0.
  const body = JSON.stringify({ id: "demo", optimizer: "SGD", variables }).replace('"MINUS ZERO"', "-0");
  await answer(createRun, await send("POST", "/v1/runs", { body }), 201);
  const text = await (await send("GET", `${RUN}/variables`)).text();
  assert.equal(
    text,
    '{"iterations":0,"version":0,"variables":{"nested":[[1,"NaN"],["-Infinity",-0]],"base64":[[1,2],[3,4]],' +
      '"fill":[[2.5,2.5],[2.5,2.5]],"initializer":[[1,1],[1,1]],"absent":[[0,0],[0,0]]}}',
  );
});

Deno.test("list_runs gives pages in order of creation, even if runs are deleted meanwhile", async () => {
  const { send } = startService();
  for (const id of ["c", "a", "b", "d"]) await send("POST", "/v1/runs", { body: { ...SPEC, id } });
  const first = await answer(listRuns, await send("GET", "/v1/runs?limit=2"));
  assert.deepEqual(first.runs.map((run: { id: string }) => run.id), ["c", "a"]);
  await send("DELETE", "/v1/runs/a");
  const second = await answer(listRuns, await send("GET", `/v1/runs?limit=2&cursor=${first.next_cursor}`));
  assert.deepEqual(second.runs.map((run: { id: string }) => run.id), ["b", "d"]);
  assert.equal("next_cursor" in second, false);
});

Deno.test("delete_run deletes the run and frees its id", async () => {
  const service = await withRun();
  const { send } = service;
  const response = await send("DELETE", RUN);
  assert.equal(response.status, 204);
  assert.equal(await response.text(), "");
  assert.equal((await send("GET", RUN)).status, 404);
  await startRun(service);
});

Deno.test("a checkpoint restores into its own run and into a new one, with the same bits", async () => {
  const { send } = await withRun();
  const response = await send("GET", `${RUN}/checkpoint`);
  assert.equal(response.headers.get("Content-Type"), FILE_TYPE);
  const saved = await response.bytes();
  const weights = await (await send("GET", `${RUN}/weights`)).text();
  await send("POST", `${RUN}/gradients`, { body: { gradients: GRADIENTS } });
  const own = await answer(putCheckpoint, await send("PUT", `${RUN}/checkpoint`, { body: saved }));
  assert.deepEqual([own.iterations, own.version], [1, 3]);
  const other = await send("PUT", "/v1/runs/other/checkpoint", { body: saved });
  assert.equal(other.headers.get("Location"), "/v1/runs/other");
  await answer(putCheckpoint, other, 201);
  for (const id of ["demo", "other"]) {
    assert.equal(await (await send("GET", `/v1/runs/${id}/weights`)).text(), weights);
  }
  const refused = await send("PUT", `${RUN}/checkpoint`, { body: saved, headers: { "If-None-Match": "*" } });
  assert.equal(refused.status, 412);
});

Deno.test("get_catalog lists every family with schemas, get_healthz and get_readyz say ok", async () => {
  const { send } = startService();
  const catalog = await answer(getCatalog, await send("GET", "/v1/catalog"));
  const families = ["optimizers", "schedules", "constraints", "initializers", "transformers"];
  for (
    const family of [...families, "aggregators", "staleness_weightings", "clip_norms", "layers", "losses"]
  ) {
    assert.ok(catalog[family].length > 0, family);
    for (const member of catalog[family]) assert.equal(member.config.type, "object", member.class_name);
  }
  for (const { class_name, config } of catalog["layers"]) {
    // A pair may be given as one number. Its default must be documented too.
    if (class_name === "Conv2D") assert.deepEqual(config.properties.strides.default, [1, 1]);
  }
  assert.deepEqual(catalog["functions"].find(({ name }: { name: string }) => name === "argmax"), {
    name: "argmax",
    topic: "Reductions",
    summary: "The place of the largest along an axis.",
    signature: "argmax(x, axis=-1)",
    options: { axis: "an integer" },
    differentiable: false,
  });
  assert.deepEqual(await answer(getHealthz, await send("GET", "/healthz")), { status: "ok" });
  assert.deepEqual(await answer(getReadyz, await send("GET", "/readyz")), { status: "ready" });
});
