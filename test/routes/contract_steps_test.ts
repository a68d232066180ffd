/** Steps: gradients in every form, and the figures in the answers. */
import assert from "node:assert/strict";
import * as applyGradients from "../../routes/apply_gradients.ts";
import * as createRun from "../../routes/create_run.ts";
import * as getVariables from "../../routes/get_variables.ts";
import * as listSteps from "../../routes/list_steps.ts";
import { answer, RUN, withRun } from "./support/contract.ts";
import {
  f32,
  file,
  FILE_TYPE,
  GRADIENTS,
  i64,
  readFile,
  SPEC,
  startRun,
  startService,
} from "./support/harness.ts";

Deno.test("apply_gradients makes a step and answers with its figures", async () => {
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

Deno.test("apply_gradients with dry_run=true answers what would happen and changes nothing", async () => {
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

Deno.test("NaN and infinite figures are strings in JSON", async () => {
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
