/** A run's description makes the same run after any hyperparameters were overwritten, whatever a constructor gives. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { optimizers } from "../../src/families/optimizers/mod.ts";
import { VARIANTS } from "../run/support/variants.ts";
import { SPARSE_SIGNUM } from "../support/signum.ts";
import { assertProblem, type Service, startService } from "./support/harness.ts";

const VARIABLES = [{ name: "w", shape: [2, 3], initial: 0.5 }, {
  name: "b",
  shape: [3],
  initial: [1, -1, 2],
}];
const GRADIENTS = [
  { w: [[0.1, -2, 3], [0.5, 0, -1]], b: [30, -0.25, 1e-4] },
  { w: { indices: [1], values: [[1, -1, 0.5]] }, b: [1, 2, -3] },
];

const part = (class_name: string, config: object) => ({ class_name, config });
const OPTIMIZERS: readonly (readonly [label: string, optimizer: unknown])[] = [
  ...VARIANTS.map(({ label, optimizer }) => [label, optimizer] as const),
  [SPARSE_SIGNUM.class_name, SPARSE_SIGNUM.class_name],
  ["decay and a clip", part("Adam", { decay: 0.5, clipnorm: 1 })],
  ["another epsilon", part("RMSprop", { epsilon: 0.1, momentum: 0.5 })],
  [
    "a schedule",
    part("SGD", { learning_rate: part("CosineDecay", { initial_learning_rate: 1, decay_steps: 3 }) }),
  ],
  ["Ftrl that shrinks", part("Ftrl", { l2_shrinkage_regularization_strength: 0.1 })],
  ["Nadam's schedule_decay", part("Nadam", { schedule_decay: 0.25 })],
];

/** Zeros and nulls on purpose: constructors read those as something else. */
const value = fc.constantFrom<unknown>(
  0,
  -0,
  1e-7,
  0.1,
  0.5,
  0.9,
  1,
  true,
  false,
  null,
  part("ExponentialDecay", {
    initial_learning_rate: 0.5,
    decay_steps: 2,
    decay_rate: 0.5,
  }),
);
/** Changes of attributes that the optimizer has. */
function patchOf(optimizer: unknown) {
  const className = typeof optimizer === "string"
    ? optimizer
    : (optimizer as { class_name: string }).class_name;
  const member = optimizers.members.find(({ class_name }) => class_name === className);
  const keys = member ? Object.keys(member.config.shape) : ["learning_rate", "clipnorm", "global_clipnorm"];
  const own = keys.filter((key) => !["name", "lr", "decay"].includes(key));
  return fc.dictionary(fc.constantFrom(...own), value, { minKeys: 1, maxKeys: 2, noNullPrototype: true });
}

const history = fc.constantFrom(...OPTIMIZERS).chain(([, optimizer]) =>
  fc.record({
    optimizer: fc.constant(optimizer),
    changes: fc.array(fc.record({ config: patchOf(optimizer), steps: fc.boolean() }), { maxLength: 6 }),
    later: patchOf(optimizer),
  })
);

const asJson = async (response: Response) => JSON.parse(await response.text());
const SPEC_KEYS = [
  "optimizer",
  "variables",
  "aggregation",
  "gradient_transformers",
  "non_finite",
  "durability",
];
const specOf = (run: Record<string, unknown>) => Object.fromEntries(SPEC_KEYS.map((key) => [key, run[key]]));

async function step({ send }: Service, id: string, seed: number): Promise<unknown> {
  const gradients = GRADIENTS[seed % GRADIENTS.length];
  const { version: _, ...answer } = await asJson(
    await send("POST", `/v1/runs/${id}/gradients`, { body: { gradients } }),
  );
  return [answer, (await asJson(await send("GET", `/v1/runs/${id}/variables`))).variables];
}

/** Whether it was taken: what one run refuses, its copy must refuse too. */
async function overwrite({ send }: Service, id: string, config: unknown): Promise<boolean> {
  const response = await send("PATCH", `/v1/runs/${id}/optimizer`, { body: { config } });
  await response.body?.cancel();
  return response.status === 200;
}

async function create(service: Service, body: object): Promise<Record<string, unknown>> {
  const response = await service.send("POST", "/v1/runs", { body });
  const text = await response.text();
  assert.equal(response.status, 201, text);
  return JSON.parse(text);
}

Deno.test("a description makes the same run after any PATCHes: equal description, equal steps, equal refusals", async () => {
  let withAttributes = 0, without = 0, compared = 0;
  await fc.assert(
    fc.asyncProperty(
      history,
      async ({ optimizer, changes, later }) => {
        const service = startService(), { send } = service;
        await (await send("POST", "/v1/optimizers", { body: SPARSE_SIGNUM })).body?.cancel();
        const spec = { optimizer, variables: VARIABLES, non_finite: "propagate" };
        await create(service, { ...spec, id: "one" });
        let seed = 0;
        for (const { config, steps } of changes) {
          await overwrite(service, "one", config);
          if (steps) await step(service, "one", seed += 1);
        }
        const one = await asJson(await send("GET", "/v1/runs/one"));
        const again = await create(service, { ...specOf(one), id: "again" });
        assert.deepEqual(specOf(again), specOf(one));
        if (one.optimizer.attributes) withAttributes += 1;
        else without += 1;
        const { variables } = await asJson(await send("GET", "/v1/runs/one/variables"));
        await (await send("PUT", "/v1/runs/again/variables", { body: { variables } })).body?.cancel();
        if (one.iterations > 0) {
          // A slot that a switch has left behind is state of the run: a new one has nothing to put it in.
          if (again["slots"]?.toString() !== one.slots.toString()) return;
          const { weights } = await asJson(await send("GET", "/v1/runs/one/weights"));
          const put = await send("PUT", "/v1/runs/again/weights", { body: { weights } });
          // So is one that a switch has asked for since the last step.
          if (put.status === 422) return await assertProblem(put, "invalid_weights", 422).then(() => {});
          assert.equal(put.status, 200, await put.text());
        }
        compared += 1;
        for (const rest of [{}, later, later]) {
          const taken = await overwrite(service, "one", rest);
          assert.equal(await overwrite(service, "again", rest), taken);
          assert.deepEqual(await step(service, "again", seed), await step(service, "one", seed));
          seed += 1;
        }
        const [a, b] = await Promise.all(
          ["one", "again"].map((id) => send("GET", `/v1/runs/${id}/optimizer`)),
        );
        // Keras shows a number that was set after a schedule without rounding it to float32; steps round it.
        const rounded = (text: string) =>
          JSON.parse(text, (_, value) => typeof value === "number" ? Math.fround(value) : value);
        assert.deepEqual(rounded(await (b as Response).text()), rounded(await (a as Response).text()));
      },
    ),
    { numRuns: 200 },
  );
  assert.ok(withAttributes > 10 && without > 10 && compared > 150, `${[withAttributes, without, compared]}`);
});

Deno.test("a description has attributes only where no config makes the same optimizer, and only those", async () => {
  const service = startService();
  const cases:
    readonly (readonly [optimizer: unknown, patch: unknown, attributes: unknown, config: object])[] = [
      ["SGD", { learning_rate: 0.5 }, undefined, { learning_rate: 0.5, momentum: 0 }],
      ["SGD", { learning_rate: 0.5, momentum: 0.5 }, { momentum: 0.5 }, { learning_rate: 0.5, momentum: 0 }],
      [part("SGD", { momentum: 0.9 }), { momentum: 0 }, { momentum: 0 }, { momentum: 0.9 }],
      [part("SGD", { momentum: 0.9 }), { momentum: 0.5 }, undefined, { momentum: 0.5 }],
      ["Adam", { epsilon: 0, beta_1: 0.5 }, { epsilon: 0 }, { epsilon: 1e-7, beta_1: 0.5 }],
      ["Adam", { amsgrad: true, epsilon: 0.5 }, undefined, { amsgrad: true, epsilon: 0.5 }],
      ["Adam", { clipnorm: 1, global_clipnorm: 2 }, { clipnorm: 1, global_clipnorm: 2 }, { epsilon: 1e-7 }],
      [part("Adam", { clipnorm: 3 }), { clipnorm: null, global_clipnorm: 2 }, undefined, {
        global_clipnorm: 2,
      }],
      ["AdamW", { epsilon: 0 }, undefined, { epsilon: 0 }],
    ];
  for (const [at, [optimizer, config, attributes, wanted]] of cases.entries()) {
    const id = `run-${at}`;
    await create(service, { optimizer, variables: VARIABLES, id });
    assert.ok(await overwrite(service, id, config));
    const { optimizer: said } = await asJson(await service.send("GET", `/v1/runs/${id}`));
    assert.deepEqual(said.attributes, attributes, JSON.stringify([optimizer, config]));
    for (const [key, value] of Object.entries(wanted)) assert.equal(said.config[key], value, key);
    for (const key of ["clipnorm", "global_clipnorm"]) {
      assert.equal(said.config[key], (wanted as never)[key], key);
    }
    // What Keras loads has the attributes as they are.
    const keras = await asJson(await service.send("GET", `/v1/runs/${id}/optimizer`));
    for (const [key, value] of Object.entries(attributes ?? {})) assert.equal(keras.config[key], value);
  }
});

Deno.test("wrong attributes of an optimizer are refused with their path", async () => {
  const service = startService();
  const rows: readonly (readonly [attributes: unknown, path: string])[] = [
    [[1], "optimizer.attributes"],
    ["momentum", "optimizer.attributes"],
    [{ momentum: "much" }, "optimizer.attributes.momentum"],
    [{ nonsense: 1 }, "optimizer.attributes.nonsense"],
    [
      { learning_rate: { class_name: "CosineDecay", config: {} } },
      "optimizer.attributes.learning_rate.config",
    ],
  ];
  for (const [attributes, path] of rows) {
    const optimizer = { class_name: "SGD", config: {}, attributes };
    const body = { optimizer, variables: VARIABLES };
    const problem = await assertProblem(
      await service.send("POST", "/v1/runs", { body }),
      "invalid_config",
      422,
    );
    assert.ok(problem.issues[0]?.path.startsWith(path), problem.issues[0]?.path);
  }
  const optimizer = { class_name: "SGD", config: {}, attributes: null };
  await create(service, { optimizer, variables: VARIABLES });
});
