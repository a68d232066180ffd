/** Values: variables, rows, slots, weights, hyperparameters. */
import assert from "node:assert/strict";
import * as applyGradients from "../../routes/apply_gradients.ts";
import * as createRun from "../../routes/create_run.ts";
import * as gatherVariables from "../../routes/gather_variables.ts";
import * as getOptimizer from "../../routes/get_optimizer.ts";
import * as getSlot from "../../routes/get_slot.ts";
import * as getVariables from "../../routes/get_variables.ts";
import * as getWeights from "../../routes/get_weights.ts";
import * as listSlots from "../../routes/list_slots.ts";
import * as listSteps from "../../routes/list_steps.ts";
import * as patchOptimizer from "../../routes/patch_optimizer.ts";
import * as putVariables from "../../routes/put_variables.ts";
import * as putWeights from "../../routes/put_weights.ts";
import { answer, RUN, withRun } from "./support/contract.ts";
import {
  f32,
  file,
  FILE_TYPE,
  GRADIENTS,
  readFile,
  SPEC,
  startRun,
  startService,
} from "./support/harness.ts";

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

Deno.test("put_variables sets some variables, leaves the rest, and makes a new version", async () => {
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

Deno.test("groups are created, described, listed with steps and patched one by one", async () => {
  const service = await startService();
  const groups = [
    { name: "no_decay", variables: ["b*"], hyperparameters: { weight_decay: 0 }, sparse: "keras" },
    { name: "rows", variables: ["emb"], optimizer: { class_name: "Adagrad" }, sparse: "lazy" },
  ];
  const spec = {
    ...SPEC,
    id: "demo",
    optimizer: { class_name: "AdamW", config: { weight_decay: 0.5 } },
    groups,
  };
  const created = await service.send("POST", "/v1/runs", { body: spec });
  const run = await answer(createRun, created, 201);
  assert.deepEqual(run.groups[0], groups[0]);
  assert.deepEqual([run.groups[1].name, run.groups[1].optimizer.class_name], ["rows", "Adagrad"]);
  const again = await answer(
    createRun,
    await service.send("POST", "/v1/runs", {
      body: { id: "again", optimizer: run.optimizer, groups: run.groups, variables: SPEC.variables },
    }),
    201,
  );
  assert.deepEqual(again.groups, run.groups);

  const step = await answer(
    applyGradients,
    await service.send("POST", `${RUN}/gradients`, { body: { gradients: GRADIENTS } }),
  );
  const rate = Math.fround(0.001);
  const wanted = {
    default: { learning_rate: rate },
    no_decay: { learning_rate: rate },
    rows: { learning_rate: rate },
  };
  assert.deepEqual(step.groups, wanted);
  const listed = await answer(listSteps, await service.send("GET", `${RUN}/steps`));
  assert.deepEqual(listed.steps[0].groups, wanted);

  const body = { config: { learning_rate: 0.25 } };
  await answer(patchOptimizer, await service.send("PATCH", `${RUN}/optimizer?group=no_decay`, { body }));
  const rateOf = async (query: string) =>
    (await answer(getOptimizer, await service.send("GET", `${RUN}/optimizer${query}`))).config.learning_rate;
  assert.deepEqual([await rateOf("?group=no_decay"), await rateOf("?group=default")], [0.25, rate]);
  assert.equal(await rateOf(""), rate);
  const unknown = await service.send("GET", `${RUN}/optimizer?group=nobody`);
  assert.deepEqual([unknown.status, (await unknown.json()).code], [404, "unknown_group"]);
  const slots = await answer(getSlot, await service.send("GET", `${RUN}/slots/accumulator`));
  assert.deepEqual(Object.keys(slots.variables), ["emb"]);
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
