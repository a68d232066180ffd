/** Losses over HTTP: the examples of Keras' optimizer page, and what `minimize` shares with `apply_gradients`. */
import assert from "node:assert/strict";
import * as applyGradients from "../../routes/apply_gradients.ts";
import * as computeGradients from "../../routes/compute_gradients.ts";
import * as listSteps from "../../routes/list_steps.ts";
import * as minimizeLoss from "../../routes/minimize.ts";
import type { Settings } from "../../src/config.ts";
import { newWorld } from "../run/support/stored.ts";
import { answer } from "./support/contract.ts";
import {
  assertProblem,
  FILE_TYPE,
  readFile,
  type Service,
  startRun,
  startService,
  stateOf,
} from "./support/harness.ts";

const RUN = "/v1/runs/demo";
const LOSS = "3 * var1 * var1 + 2 * var2 * var2";

/** A service whose workers end with the test. */
function serviceWithLosses(
  settings: Partial<Settings> = {},
  replaced: Parameters<typeof startService>[1] = {},
) {
  const service = startService(settings, replaced);
  return Object.assign(service, { [Symbol.dispose]: () => service.losses.close() });
}

async function create(service: Service, spec: object = {}): Promise<void> {
  const created = await service.send("POST", "/v1/runs", {
    body: {
      id: "demo",
      optimizer: { class_name: "SGD", config: { learning_rate: 0.1 } },
      variables: [{ name: "var1", shape: [], initial: 2 }, { name: "var2", shape: [], initial: 5 }],
      ...spec,
    },
  });
  assert.equal(created.status, 201, await created.text());
}

const minimize = (service: Service, body: unknown = { loss: LOSS }, headers = {}) =>
  service.send("POST", `${RUN}/minimize`, { body, headers });

async function valuesOf(service: Service): Promise<Record<string, unknown>> {
  return (await (await service.send("GET", `${RUN}/variables`)).json()).variables;
}

const f = Math.fround;

Deno.test("minimize lowers 3 * var1 * var1 + 2 * var2 * var2, as on Keras' page", async () => {
  using service = serviceWithLosses();
  await create(service);
  const step = await answer(
    minimizeLoss,
    await minimize(service, { loss: LOSS, var_list: ["var1", "var2"] }),
  );
  assert.deepEqual(step, {
    applied: true,
    iterations: 1,
    version: 1,
    learning_rate: f(0.1),
    gradient_norm: Math.sqrt(12 ** 2 + 20 ** 2),
    clip_factor: 1,
    contributions: 1,
    variables: { var1: { gradient_norm: 12 }, var2: { gradient_norm: 20 } },
    warnings: [],
    loss: 62,
  });
  assert.deepEqual(await valuesOf(service), { var1: f(2 - f(f(0.1) * 12)), var2: f(5 - f(f(0.1) * 20)) });
  const { steps } = await answer(listSteps, await service.send("GET", `${RUN}/steps`));
  assert.deepEqual(steps, [step]);
});

Deno.test("minimize uses a learning rate that was overwritten between two calls", async () => {
  using service = serviceWithLosses();
  await create(service);
  await answer(minimizeLoss, await minimize(service));
  const patched = await service.send("PATCH", `${RUN}/optimizer`, {
    body: { config: { learning_rate: 0.05 } },
  });
  assert.equal(patched.status, 200, await patched.text());
  const { var1 } = await valuesOf(service) as { var1: number };
  const step = await answer(minimizeLoss, await minimize(service));
  assert.equal(step.learning_rate, f(0.05));
  assert.equal((await valuesOf(service))["var1"], f(var1 - f(f(0.05) * f(6 * var1))));
});

Deno.test("minimize follows a schedule", async () => {
  using service = serviceWithLosses();
  const config = { initial_learning_rate: 0.1, decay_steps: 2, decay_rate: 0.5, staircase: true };
  const learning_rate = { class_name: "ExponentialDecay", config };
  await create(service, { optimizer: { class_name: "SGD", config: { learning_rate } } });
  const rates = [];
  for (let i = 0; i < 4; i++) rates.push((await answer(minimizeLoss, await minimize(service))).learning_rate);
  assert.deepEqual(rates, [f(0.1), f(0.1), f(f(0.1) * 0.5), f(f(0.1) * 0.5)]);
});

Deno.test("compute_gradients, processing and apply_gradients together equal minimize", async () => {
  using service = serviceWithLosses();
  await create(service);
  const computed = await answer(
    computeGradients,
    await service.send("POST", `${RUN}/compute-gradients`, {
      body: { loss: LOSS, var_list: ["var1", "var2"] },
    }),
  );
  assert.deepEqual(computed, { loss: 62, base_iteration: 0, gradients: { var1: 12, var2: 20 } });
  const capped = { var1: Math.min(computed.gradients.var1, 1), var2: Math.min(computed.gradients.var2, 1) };
  const body = { ...computed, gradients: capped };
  const step = await answer(applyGradients, await service.send("POST", `${RUN}/gradients`, { body }));
  assert.equal(step.loss, 62);
  assert.deepEqual(await valuesOf(service), { var1: f(2 - f(0.1)), var2: f(5 - f(0.1)) });
});

const EMBEDDING = {
  loss: "sum(square(gather(emb, i))) + sum(scale * bias)",
  inputs: { i: [[3, 0], [3, 1]] },
};

for (const accept of ["application/json", FILE_TYPE]) {
  Deno.test(`compute_gradients answers in ${accept} with a valid body for apply_gradients`, async () => {
    using service = serviceWithLosses();
    for (const id of ["demo", "twin"]) await startRun(service, id);
    const body = { ...EMBEDDING, var_list: ["emb", "scale", "bias"] };
    const computed = await service.send("POST", `${RUN}/compute-gradients`, {
      body,
      headers: { Accept: accept },
    });
    assert.equal(computed.headers.get("ETag"), '"v1"');
    assert.equal(computed.headers.get("Content-Type"), accept);
    const bytes = await computed.bytes();
    if (accept === FILE_TYPE) {
      assert.deepEqual(Object.keys(readFile(bytes).values).sort(), [
        "bias",
        "emb#indices",
        "emb#values",
        "scale",
      ]);
    }
    const applied = await service.send("POST", "/v1/runs/twin/gradients", {
      body: bytes,
      headers: { "Content-Type": accept },
    });
    const step = await answer(applyGradients, applied);
    const minimized = await answer(minimizeLoss, await minimize(service, body));
    assert.deepEqual(step, minimized);
    const [own, twin] = [await stateOf(service), await stateOf(service, "twin")];
    assert.equal(own.split("\n")[3], twin.split("\n")[3]);
  });
}

Deno.test("compute_gradients changes nothing, and answers null for variables that the loss does not depend on", async () => {
  using service = serviceWithLosses();
  await startRun(service);
  const before = await stateOf(service);
  const body = { loss: "sum(bias) + sum(stop_gradient(scale))", var_list: ["kernel", "scale", "bias"] };
  const computed = await answer(
    computeGradients,
    await service.send("POST", `${RUN}/compute-gradients`, { body }),
  );
  assert.deepEqual(computed.gradients, { bias: [1, 1, 1], kernel: null, scale: null });
  assert.equal(await stateOf(service), before);
});

Deno.test("minimize begins with grad_loss, and minimizes the sum of a loss that is not a scalar", async () => {
  using service = serviceWithLosses();
  await create(service, { variables: [{ name: "w", shape: [2], initial: [1, 2] }] });
  const plain = await answer(minimizeLoss, await minimize(service, { loss: "w * w" }));
  assert.equal(plain.loss, 5);
  assert.equal(plain.gradient_norm, Math.sqrt(4 + 16));
  const begun = await answer(minimizeLoss, await minimize(service, { loss: "w * 2", grad_loss: [3, 4] }));
  assert.equal(begun.gradient_norm, 10);
});

Deno.test("minimize has the options of a step: a dry run, hyperparameters, If-Match, the new values", async () => {
  using service = serviceWithLosses();
  await create(service);
  const dry = await answer(
    minimizeLoss,
    await service.send("POST", `${RUN}/minimize?dry_run=true`, { body: { loss: LOSS } }),
  );
  assert.deepEqual([dry.applied, dry.loss, dry.version], [false, 62, 0]);
  await assertProblem(
    await minimize(service, { loss: LOSS }, { "If-Match": '"v1"' }),
    "version_mismatch",
    412,
  );
  const step = await answer(
    minimizeLoss,
    await minimize(service, { loss: LOSS, hyperparameters: { learning_rate: 0.01 } }, {
      "If-Match": '"v0"',
      Prefer: "return=representation",
    }),
  );
  assert.equal(step.learning_rate, f(0.01));
  assert.equal(step.variables.var1.values, f(2 - f(f(0.01) * 12)));
});

Deno.test("minimize answers a retry with the first answer, including the loss, and steps once, also after a restart", async () => {
  await using world = await newWorld();
  const serve = () => serviceWithLosses({}, { registry: world.registry });
  const headers = { "Idempotency-Key": "k" };
  let first: string;
  {
    using service = serve();
    await create(service);
    first = await (await minimize(service, { loss: LOSS }, headers)).text();
    assert.match(first, /"loss":62/);
  }
  const check = async () => {
    using service = serve();
    const again = await minimize(service, { loss: LOSS }, headers);
    assert.equal(again.headers.get("Idempotency-Replayed"), "true");
    assert.equal(await again.text(), first);
    await assertProblem(await minimize(service, { loss: "var1" }, headers), "key_reused", 422);
    const { steps } = await answer(listSteps, await service.send("GET", `${RUN}/steps`));
    assert.deepEqual(steps, [JSON.parse(first)]);
  };
  await check();
  await world.restart();
  await check();
});

Deno.test("minimize contributes to rounds, and their step has the mean of the losses", async () => {
  using service = serviceWithLosses();
  await create(service, { aggregation: { mode: "round", quorum: 2, aggregator: "WeightedMean" } });
  const contribute = (client_id: string, x: number, weight: number) =>
    minimize(service, { loss: "x * var1 * var1", inputs: { x }, client_id, weight });
  const open = await answer(minimizeLoss, await contribute("a", 1, 1), 202);
  assert.deepEqual([open.applied, open.loss, open.missing], [false, 4, 1]);
  await assertProblem(await contribute("a", 1, 1), "contribution_repeated", 409);
  const step = await answer(minimizeLoss, await contribute("b", 5, 3));
  assert.deepEqual([step.applied, step.contributions, step.loss], [true, 2, (4 + 3 * 20) / 4]);
});

Deno.test("minimize refuses a run whose contributions are not gradients", async () => {
  using service = serviceWithLosses();
  await create(service, { aggregation: { mode: "immediate", payload: "delta" } });
  await assertProblem(await minimize(service), "invalid_request", 422);
});

Deno.test("minimize serializes simultaneous requests", async () => {
  using service = serviceWithLosses();
  await create(service);
  const steps = await Promise.all(
    Array.from({ length: 5 }, async () => answer(minimizeLoss, await minimize(service))),
  );
  let [var1, var2] = [2, 5];
  for (const { loss } of steps.toSorted((a, b) => a.iterations - b.iterations)) {
    assert.equal(loss, f(f(f(3 * var1) * var1) + f(f(2 * var2) * var2)));
    var1 = f(var1 - f(f(0.1) * f(f(3 * var1) + f(3 * var1))));
    var2 = f(var2 - f(f(0.1) * f(f(2 * var2) + f(2 * var2))));
  }
  assert.deepEqual(await valuesOf(service), { var1, var2 });
});

Deno.test("minimize stops a loss that takes too long, and other requests are not affected", async () => {
  using service = serviceWithLosses({ STEPWELL_LOSS_SECONDS: 1 });
  await create(service);
  // Products of large matrices, about 10^11 operations.
  const chain = Array.from({ length: 14 }, (_, i) => `m${i + 1} = m${i} @ m0`);
  const loss = ["m0 = tile(reshape(var1, [1, 1]), [1400, 1400])", ...chain, "sum(m14)"].join("; ");
  const problem = await assertProblem(await minimize(service, { loss }), "loss_too_slow", 422);
  assert.match(problem.detail, /longer than 1 s/);
  const step = await answer(minimizeLoss, await minimize(service));
  assert.deepEqual([step.iterations, step.loss], [1, 62]);
});

Deno.test("minimize keeps a batch normalization's averages", async () => {
  using service = serviceWithLosses();
  const layer = (class_name: string, config: object) => ({ class_name, config });
  const model = layer("Sequential", {
    layers: [
      layer("BatchNormalization", { name: "norm", momentum: 0.5 }),
      layer("Dense", { name: "dense", units: 1 }),
    ],
  });
  await create(service, {
    variables: [
      { name: "norm/gamma", shape: [2], initial: 1 },
      { name: "norm/beta", shape: [2] },
      { name: "norm/moving_mean", shape: [2], role: "average" },
      { name: "norm/moving_variance", shape: [2], initial: 1, role: "average" },
      { name: "dense/kernel", shape: [2, 1], initial: 1 },
      { name: "dense/bias", shape: [1] },
    ],
  });
  const body = { model, loss: "mse", inputs: [[1, 2], [3, 6]], targets: [1, 2] };
  const step = await answer(minimizeLoss, await minimize(service, body));
  assert.deepEqual(step.warnings, []);
  const values = await valuesOf(service);
  assert.deepEqual(values["norm/moving_mean"], [1, 2]);
  assert.deepEqual(values["norm/moving_variance"], [1, 2.5]);
  const frozen = await answer(minimizeLoss, await minimize(service, { ...body, training: false }));
  assert.ok(frozen.loss !== step.loss);
  assert.deepEqual((await valuesOf(service))["norm/moving_mean"], [1, 2]);
});
