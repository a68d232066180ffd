/** Every operation does what DESIGN.md's contract says, and answers as its own document says. */
import assert from "node:assert/strict";
import { z } from "@hono/zod-openapi";
import * as applyGradients from "../../routes/apply_gradients.ts";
import * as createRun from "../../routes/create_run.ts";
import * as gatherVariables from "../../routes/gather_variables.ts";
import * as getCatalog from "../../routes/get_catalog.ts";
import * as getHealthz from "../../routes/get_healthz.ts";
import * as getOptimizer from "../../routes/get_optimizer.ts";
import * as getReadyz from "../../routes/get_readyz.ts";
import * as getRun from "../../routes/get_run.ts";
import * as getSlot from "../../routes/get_slot.ts";
import * as getVariables from "../../routes/get_variables.ts";
import * as getWeights from "../../routes/get_weights.ts";
import * as listRuns from "../../routes/list_runs.ts";
import * as listSlots from "../../routes/list_slots.ts";
import * as listSteps from "../../routes/list_steps.ts";
import * as patchOptimizer from "../../routes/patch_optimizer.ts";
import * as putCheckpoint from "../../routes/put_checkpoint.ts";
import * as putVariables from "../../routes/put_variables.ts";
import * as putWeights from "../../routes/put_weights.ts";
import {
  f32,
  file,
  FILE_TYPE,
  GRADIENTS,
  i64,
  readFile,
  type Service,
  SPEC,
  startRun,
  startService,
} from "./harness.ts";

interface Documented {
  readonly route: { readonly responses: Record<string, unknown> };
}

/** The JSON answer, held against the schema that its operation documents for the status. */
async function answer({ route }: Documented, response: Response, status = 200) {
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.equal(response.headers.get("Content-Type"), "application/json");
  assert.equal(response.headers.get("Content-Length"), String(new TextEncoder().encode(text).length));
  const documented = route.responses[status] as { content: { "application/json": { schema: z.ZodType } } };
  const value = JSON.parse(text);
  documented.content["application/json"].schema.parse(value);
  return value;
}

async function withRun(): Promise<Service> {
  const service = startService();
  await startRun(service);
  return service;
}

const RUN = "/v1/runs/demo";

Deno.test("create_run makes the run and says where it is", async () => {
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
        { name: "kernel", shape: [2, 3], dtype: "float32", constraint: { class_name: "NonNeg", config: {} } },
        { name: "bias", shape: [3], dtype: "float32", constraint: null },
        { name: "emb", shape: [4, 2], dtype: "float32", constraint: null },
        { name: "scale", shape: [], dtype: "float32", constraint: null },
      ],
      slots: ["m", "v"],
      parameters: 18,
      bytes: 18 * 4 * 3,
      aggregation: { mode: "immediate", aggregator: { class_name: "Sum", config: {} } },
      gradient_transformers: [],
      non_finite: "reject",
      warnings: [],
    },
  );
  assert.deepEqual(await answer(getRun, await send("GET", RUN)), run);
});

Deno.test("create_run makes up an id when none is given", async () => {
  const { send } = startService();
  const response = await send("POST", "/v1/runs", { body: SPEC });
  assert.equal(response.headers.get("Location"), "/v1/runs/run-1");
  assert.equal((await answer(createRun, response, 201)).id, "run-1");
});

Deno.test("create_run takes first values in every form", async () => {
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
  // JSON.stringify knows no -0.
  const body = JSON.stringify({ id: "demo", optimizer: "SGD", variables }).replace('"MINUS ZERO"', "-0");
  await answer(createRun, await send("POST", "/v1/runs", { body }), 201);
  const text = await (await send("GET", `${RUN}/variables`)).text();
  assert.equal(
    text,
    '{"iterations":0,"version":0,"variables":{"nested":[[1,"NaN"],["-Infinity",-0]],"base64":[[1,2],[3,4]],' +
      '"fill":[[2.5,2.5],[2.5,2.5]],"initializer":[[1,1],[1,1]],"absent":[[0,0],[0,0]]}}',
  );
});

Deno.test("list_runs gives pages in order of creation, whatever is deleted meanwhile", async () => {
  const { send } = startService();
  for (const id of ["c", "a", "b", "d"]) await send("POST", "/v1/runs", { body: { ...SPEC, id } });
  const first = await answer(listRuns, await send("GET", "/v1/runs?limit=2"));
  assert.deepEqual(first.runs.map((run: { id: string }) => run.id), ["c", "a"]);
  await send("DELETE", "/v1/runs/a");
  const second = await answer(listRuns, await send("GET", `/v1/runs?limit=2&cursor=${first.next_cursor}`));
  assert.deepEqual(second.runs.map((run: { id: string }) => run.id), ["b", "d"]);
  assert.equal("next_cursor" in second, false);
});

Deno.test("delete_run forgets the run and frees its id", async () => {
  const service = await withRun();
  const { send } = service;
  const response = await send("DELETE", RUN);
  assert.equal(response.status, 204);
  assert.equal(await response.text(), "");
  assert.equal((await send("GET", RUN)).status, 404);
  await startRun(service);
});

Deno.test("apply_gradients steps and says what it did", async () => {
  const { send } = startService();
  const body = {
    id: "demo",
    optimizer: { class_name: "SGD", config: { learning_rate: 0.5 } },
    variables: [{ name: "w", shape: [2] }, { name: "b", shape: [] }],
  };
  await answer(createRun, await send("POST", "/v1/runs", { body }), 201);
  const response = await send("POST", `${RUN}/gradients`, {
    body: { gradients: { w: [3, -4], b: null }, base_iteration: 0, client_id: "phone-7", weight: 32 },
  });
  assert.equal(response.headers.get("ETag"), '"v1"');
  const step = await answer(applyGradients, response);
  assert.equal(step.warnings.length, 1);
  assert.deepEqual({ ...step, warnings: [] }, {
    applied: true,
    iterations: 1,
    version: 1,
    learning_rate: 0.5,
    gradient_norm: 5,
    clip_factor: 1,
    contributions: 1,
    variables: { w: { gradient_norm: 5 } },
    warnings: [],
  });
  const values = await answer(getVariables, await send("GET", `${RUN}/variables`));
  assert.deepEqual(values, { iterations: 1, version: 1, variables: { w: [-1.5, 2], b: 0 } });
});

Deno.test("apply_gradients takes the same gradients as safetensors, with the same bits", async () => {
  const service = startService();
  await startRun(service, "json");
  await service.send("POST", "/v1/runs", { body: { ...SPEC, id: "binary" } });
  const body = file({
    kernel: f32([2, 3], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
    bias: f32([3], [1, -1, 0.5]),
    "emb#indices": i64([3], [3, 0, 3]),
    "emb#values": f32([3, 2], [1, 2, 3, 4, 5, 6]),
    scale: f32([], [0.25]),
  }, {
    format: "np",
    base_iteration: "0",
    client_id: "a",
    weight: "2.5",
    hyperparameters: '{"learning_rate":0.1}',
  });
  const step = await answer(
    applyGradients,
    await service.send("POST", "/v1/runs/binary/gradients", { body }),
  );
  assert.equal(step.applied, true);
  const values = async (id: string) =>
    (await (await service.send("GET", `/v1/runs/${id}/weights`, { headers: { Accept: FILE_TYPE } })).bytes())
      .toBase64();
  assert.equal(await values("binary"), await values("json"));
});

Deno.test("apply_gradients with dry_run=true says what would happen and changes nothing", async () => {
  const { send } = await withRun();
  const before = await (await send("GET", `${RUN}/weights`)).text();
  const step = await answer(
    applyGradients,
    await send("POST", `${RUN}/gradients?dry_run=true`, { body: { gradients: GRADIENTS } }),
  );
  assert.deepEqual([step.applied, step.iterations, step.version], [false, 1, 1]);
  assert.equal(await (await send("GET", `${RUN}/weights`)).text(), before);
});

Deno.test("apply_gradients with hyperparameters uses them for this step only", async () => {
  const { send } = await withRun();
  const body = { gradients: { bias: [1, 1, 1] }, hyperparameters: { learning_rate: 0.25 } };
  const rates = [];
  for (const each of [body, { gradients: body.gradients }]) {
    rates.push(
      (await answer(applyGradients, await send("POST", `${RUN}/gradients?aggregate=false`, { body: each })))
        .learning_rate,
    );
  }
  assert.deepEqual(rates, [0.25, Math.fround(0.1)]);
});

Deno.test("apply_gradients answers with the new values when Prefer asks, as JSON", async () => {
  const { send } = await withRun();
  const response = await send("POST", `${RUN}/gradients`, {
    body: { gradients: { bias: [1, 1, 1] } },
    headers: { Prefer: "return=representation" },
  });
  assert.equal(response.headers.get("Preference-Applied"), "return=representation");
  const step = await answer(applyGradients, response);
  const { variables } = await answer(getVariables, await send("GET", `${RUN}/variables`));
  assert.deepEqual(step.variables.bias.values, variables.bias);
  assert.deepEqual(step.variables.kernel, { values: variables.kernel });
});

Deno.test("apply_gradients answers with the new values when Prefer asks, as safetensors", async () => {
  const { send } = await withRun();
  const response = await send("POST", `${RUN}/gradients`, {
    body: { gradients: { bias: [1, 1, 1] } },
    headers: { Prefer: "return=representation", Accept: FILE_TYPE },
  });
  assert.equal(response.headers.get("Content-Type"), FILE_TYPE);
  assert.equal(response.headers.get("ETag"), '"v2"');
  const { metadata, values } = readFile(await response.bytes());
  assert.deepEqual([metadata["applied"], metadata["iterations"], metadata["version"]], ["true", "2", "2"]);
  assert.deepEqual(Object.keys(JSON.parse(metadata["variables"] ?? "")), ["bias"]);
  const { variables } = await answer(getVariables, await send("GET", `${RUN}/variables`));
  assert.deepEqual(values["bias"], variables.bias);
  assert.deepEqual(values["kernel"], variables.kernel.flat());
});

Deno.test("get_variables gives some or all, as JSON or as a file of exact length", async () => {
  const { send } = await withRun();
  const some = await answer(getVariables, await send("GET", `${RUN}/variables?name=scale&name=bias`));
  assert.deepEqual(Object.keys(some.variables).sort(), ["bias", "scale"]);
  const one = await answer(getVariables, await send("GET", `${RUN}/variables?name=bias`));
  assert.deepEqual(Object.keys(one.variables), ["bias"]);
  for (const type of [FILE_TYPE, "application/octet-stream"]) {
    const response = await send("GET", `${RUN}/variables`, { headers: { Accept: type } });
    assert.equal(response.headers.get("Content-Type"), type);
    assert.equal(response.headers.get("ETag"), '"v1"');
    assert.equal(response.headers.get("Vary"), "Accept");
    const bytes = await response.bytes();
    assert.equal(response.headers.get("Content-Length"), String(bytes.length));
    const { metadata, values } = readFile(bytes);
    assert.deepEqual(metadata, { iterations: "1", version: "1" });
    assert.deepEqual(values["bias"], some.variables.bias);
  }
});

Deno.test("put_variables sets some, leaves the rest, and makes a version", async () => {
  const { send } = await withRun();
  const before = await answer(getVariables, await send("GET", `${RUN}/variables`));
  const response = await send("PUT", `${RUN}/variables`, { body: { variables: { bias: [7, 8, 9] } } });
  assert.equal(response.headers.get("ETag"), '"v2"');
  assert.deepEqual(await answer(putVariables, response), { iterations: 1, version: 2 });
  const after = await answer(getVariables, await send("GET", `${RUN}/variables`));
  assert.deepEqual(after.variables, { ...before.variables, bias: [7, 8, 9] });
  const binary = await send("PUT", `${RUN}/variables`, {
    body: file({ scale: f32([], [3]) }, { format: "pt" }),
    headers: { Prefer: "return=representation" },
  });
  assert.equal((await answer(putVariables, binary)).variables.scale, 3);
});

Deno.test("gather_variables gives rows in the wanted order", async () => {
  const { send } = await withRun();
  const { variables: { emb } } = await answer(getVariables, await send("GET", `${RUN}/variables`));
  const body = { name: "emb", indices: [3, 0, 3] };
  const rows = await answer(gatherVariables, await send("POST", `${RUN}/variables/gather`, { body }));
  assert.deepEqual(rows, { name: "emb", values: [emb[3], emb[0], emb[3]] });
  const binary = await send("POST", `${RUN}/variables/gather`, { body, headers: { Accept: FILE_TYPE } });
  assert.deepEqual(readFile(await binary.bytes()).values["emb"], [...emb[3], ...emb[0], ...emb[3]]);
});

Deno.test("list_slots and get_slot give names and values", async () => {
  const { send } = await withRun();
  assert.deepEqual(await answer(listSlots, await send("GET", `${RUN}/slots`)), { slots: ["m", "v"] });
  const slot = await answer(getSlot, await send("GET", `${RUN}/slots/m`));
  assert.deepEqual([slot.slot, slot.iterations, slot.version], ["m", 1, 1]);
  assert.deepEqual(Object.keys(slot.variables), ["kernel", "bias", "emb", "scale"]);
  const binary = readFile(
    await (await send("GET", `${RUN}/slots/m`, { headers: { Accept: FILE_TYPE } })).bytes(),
  );
  assert.equal(binary.metadata["slot"], "m");
  assert.deepEqual(binary.values["bias"], slot.variables.bias);
});

Deno.test("get_weights and put_weights are inverses, as JSON and as files", async () => {
  const service = startService();
  const { send } = service;
  await send("POST", "/v1/runs", { body: { ...SPEC, id: "empty" } });
  assert.deepEqual(await answer(getWeights, await send("GET", "/v1/runs/empty/weights")), { weights: [] });
  await startRun(service);
  const json = await answer(getWeights, await send("GET", `${RUN}/weights`));
  assert.equal(json.weights.length, 9);
  assert.equal(json.weights[0], 1);
  const binary = await (await send("GET", `${RUN}/weights`, { headers: { Accept: FILE_TYPE } })).bytes();
  assert.deepEqual(Object.keys(readFile(binary).values).sort(), [
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
  ]);
  await send("POST", `${RUN}/gradients`, { body: { gradients: GRADIENTS } });
  for (const body of [json, binary]) {
    const changed = await answer(putWeights, await send("PUT", `${RUN}/weights`, { body }));
    assert.equal(changed.iterations, 1);
    assert.deepEqual(await answer(getWeights, await send("GET", `${RUN}/weights`)), json);
  }
  const many = { weights: json.weights.with(0, 2 ** 40 + 1) };
  assert.equal(
    (await answer(putWeights, await send("PUT", `${RUN}/weights`, { body: many }))).iterations,
    2 ** 40 + 1,
  );
  const exact = readFile(
    await (await send("GET", `${RUN}/weights`, { headers: { Accept: FILE_TYPE } })).bytes(),
  );
  assert.deepEqual(exact.values["0"], [2 ** 40 + 1]);
});

Deno.test("get_optimizer and patch_optimizer read and overwrite hyperparameters", async () => {
  const { send } = await withRun();
  const before = await answer(getOptimizer, await send("GET", `${RUN}/optimizer`));
  const schedule = {
    class_name: "ExponentialDecay",
    config: { initial_learning_rate: 0.5, decay_steps: 10, decay_rate: 0.9 },
  };
  const response = await send("PATCH", `${RUN}/optimizer`, { body: { config: { learning_rate: schedule } } });
  assert.equal(response.headers.get("ETag"), '"v2"');
  const { warnings, ...patched } = await answer(patchOptimizer, response);
  assert.deepEqual(warnings, []);
  assert.equal(patched.config.learning_rate.class_name, "ExponentialDecay");
  assert.deepEqual({ ...patched.config, learning_rate: 0 }, { ...before.config, learning_rate: 0 });
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

Deno.test("list_steps gives the latest steps, newest first", async () => {
  const { send } = await withRun();
  const step = await answer(
    applyGradients,
    await send("POST", `${RUN}/gradients`, { body: { gradients: { scale: 2 } } }),
  );
  const { steps } = await answer(listSteps, await send("GET", `${RUN}/steps`));
  assert.equal(steps.length, 2);
  assert.deepEqual(steps[0], step);
  assert.equal((await answer(listSteps, await send("GET", `${RUN}/steps?limit=1`))).steps.length, 1);
});

Deno.test("figures that JSON cannot say as numbers are strings", async () => {
  const { send } = startService();
  const body = {
    id: "demo",
    optimizer: "SGD",
    variables: [{ name: "w", shape: [2] }],
    non_finite: "propagate",
  };
  await send("POST", "/v1/runs", { body });
  const response = await send("POST", `${RUN}/gradients`, {
    body: { gradients: { w: ["NaN", "Infinity"] } },
  });
  const step = await answer(applyGradients, response);
  assert.deepEqual([step.applied, step.gradient_norm, step.variables.w.gradient_norm], [true, "NaN", "NaN"]);
  assert.equal((await answer(listSteps, await send("GET", `${RUN}/steps`))).steps[0].gradient_norm, "NaN");
});

Deno.test("get_catalog lists every family with schemas, get_healthz and get_readyz say ok", async () => {
  const { send } = startService();
  const catalog = await answer(getCatalog, await send("GET", "/v1/catalog"));
  for (
    const family of ["optimizers", "schedules", "constraints", "initializers", "aggregators", "transformers"]
  ) {
    assert.ok(catalog[family].length > 0, family);
    for (const member of catalog[family]) assert.equal(member.config.type, "object", member.class_name);
  }
  assert.deepEqual(await answer(getHealthz, await send("GET", "/healthz")), { status: "ok" });
  assert.deepEqual(await answer(getReadyz, await send("GET", "/readyz")), { status: "ready" });
});
