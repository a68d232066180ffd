/** What a run's description says makes the same run, and its configs are such as Keras writes them. */
import assert from "node:assert/strict";
import { z } from "zod";
import { MEMBERS } from "../families/support/members.ts";
import { VARIANTS } from "../run/support/variants.ts";
import { startService } from "./support/harness.ts";

const VARIABLES = [
  { name: "w", shape: [3, 3, 2, 2], initial: 0.5 },
  { name: "b", shape: [2], initial: [1, -1] },
];
const GRADIENTS = { w: Array(3).fill(Array(3).fill([[0.1, 0.2], [0.3, -0.4]])), b: [0.5, 0.25] };

type Spec = Readonly<Record<string, unknown>>;

const part = (class_name: string, config: unknown) => ({ class_name, config });
const of = (family: string) => MEMBERS.filter(({ folder }) => folder === family);

/** A run for each member of each family that a run may have. */
const SPECS: readonly (readonly [label: string, spec: Spec])[] = [
  ...VARIANTS.map(({ label, optimizer }) => [label, { optimizer }] as const),
  ["Nadam's schedule_decay", { optimizer: part("Nadam", { schedule_decay: 0.25 }) }],
  ["all clips", { optimizer: part("Adam", { clipvalue: 3, global_clipnorm: 2, decay: 1, epsilon: 1 }) }],
  ...of("schedules").map(({ member, given }) =>
    [member.class_name, {
      optimizer: part("SGD", { learning_rate: part(member.class_name, given) }),
    }] as const
  ),
  ...of("constraints").map(({ member, given }) =>
    [member.class_name, {
      optimizer: "SGD",
      variables: [{ ...VARIABLES[0], constraint: part(member.class_name, given) }, VARIABLES[1]],
    }] as const
  ),
  ...of("transformers").map(({ member, given }) =>
    [member.class_name, {
      optimizer: "SGD",
      gradient_transformers: [part(member.class_name, given)],
    }] as const
  ),
  ...of("aggregators").map(({ member, given }) =>
    [member.class_name, {
      optimizer: "SGD",
      aggregation: {
        mode: "round",
        quorum: 20,
        minimum: 15,
        deadline_seconds: 9,
        aggregator: part(member.class_name, given),
      },
    }] as const
  ),
  ...of("staleness_weightings").map(({ member, given }) =>
    [member.class_name, {
      optimizer: "SGD",
      aggregation: {
        mode: "buffer",
        buffer_size: 3,
        staleness_weighting: part(member.class_name, given),
        max_staleness: null,
      },
    }] as const
  ),
  ["immediate, with everything", {
    optimizer: "SGD",
    variables: [VARIABLES[0], { ...VARIABLES[1], role: "average" }],
    aggregation: {
      mode: "immediate",
      payload: "delta",
      client_clipnorm: 2,
      noise: { stddev: 1, seed: 3 },
      max_staleness: 3,
    },
    non_finite: "skip",
    durability: "none",
  }],
];

const SPEC_KEYS = [
  "optimizer",
  "variables",
  "aggregation",
  "gradient_transformers",
  "non_finite",
  "durability",
];
const specOf = (run: Spec) => Object.fromEntries(SPEC_KEYS.map((key) => [key, run[key]]));

Deno.test("a description posted as a run makes the same run, whatever its members, before and after a step", async (t) => {
  for (const [label, spec] of SPECS) {
    await t.step(label, async () => {
      const { send } = startService();
      const json = async (method: string, path: string, body?: unknown, status = 200) => {
        const response = await send(method, path, { body });
        const text = await response.text();
        assert.equal(response.status, status, text);
        return JSON.parse(text);
      };
      await json("POST", "/v1/runs", { variables: VARIABLES, ...spec, id: "one" }, 201);
      for (const id of ["fresh", "stepped"]) {
        const one = await json("GET", "/v1/runs/one");
        const again = await json("POST", "/v1/runs", { ...specOf(one), id }, 201);
        if (id === "fresh") assert.deepEqual(again, { ...one, id, warnings: again.warnings });
        assert.deepEqual(specOf(again), specOf(one));
        const { variables } = await json("GET", "/v1/runs/one/variables");
        await json("PUT", `/v1/runs/${id}/variables`, { variables });
        if (one.aggregation.mode !== "immediate") break;
        if (id === "stepped") break;
        // The same step with the same bits.
        const step = { gradients: GRADIENTS };
        const answers = [];
        for (const run of ["one", id]) {
          const { version: _, ...answer } = await json("POST", `/v1/runs/${run}/gradients`, step);
          answers.push([answer, (await json("GET", `/v1/runs/${run}/variables`)).variables]);
        }
        assert.deepEqual(answers[1], answers[0]);
      }
    });
  }
});

/** Float fields by member: those whose schema is a number but no integer. */
function floatsOf(config: z.ZodObject): string[] {
  const isFloat = (field: z.ZodType): boolean => {
    if (field instanceof z.ZodDefault || field instanceof z.ZodNullable || field instanceof z.ZodOptional) {
      return isFloat(field.unwrap() as z.ZodType);
    }
    if (field instanceof z.ZodUnion) return field.options.some((option) => isFloat(option as z.ZodType));
    if (field instanceof z.ZodArray) return isFloat(field.element as z.ZodType);
    return field instanceof z.ZodNumber && !field.isInt;
  };
  return Object.entries(config.shape).flatMap(([key, field]) => isFloat(field as z.ZodType) ? [key] : []);
}

Deno.test("whole numbers of float fields are written with a point, and those of integers without one", async (t) => {
  const floats = new Map(MEMBERS.map(({ member }) => [member.class_name, new Set(floatsOf(member.config))]));
  for (const [label, spec] of SPECS) {
    await t.step(label, async () => {
      const { send } = startService();
      const made = await send("POST", "/v1/runs", { body: { variables: VARIABLES, ...spec, id: "one" } });
      const texts = [await made.text(), await (await send("GET", "/v1/runs/one")).text()];
      const listed = await (await send("GET", "/v1/runs")).text();
      const optimizer = await (await send("GET", "/v1/runs/one/optimizer")).text();
      assert.equal(made.status, 201, texts[0]);
      assert.equal(texts[0], texts[1]);
      assert.ok(listed.includes(texts[1] as string));
      for (const text of [texts[1] as string, optimizer]) checkNumbers(text, floats);
    });
  }
});

/** Reads each number of a config as it is written. */
function checkNumbers(text: string, floats: ReadonlyMap<string, ReadonlySet<string>>): void {
  type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;
  // Numbers become their text, so that 1 and 1.0 differ.
  const read = JSON.parse as (text: string, reviver: Reviver) => unknown;
  const asText = read(text, (_, value, { source }) => typeof value === "number" ? { source } : value);
  visit(asText);

  function visit(value: unknown): void {
    if (typeof value !== "object" || value === null) return;
    const { class_name, config } = value as { class_name?: string; config?: Record<string, unknown> };
    if (class_name !== undefined && config !== undefined) {
      for (const [key, given] of Object.entries(config)) {
        for (const each of Array.isArray(given) ? given : [given]) {
          const { source } = (each ?? {}) as { source?: string };
          if (source === undefined) continue;
          const isFloat: boolean = floats.get(class_name)?.has(key) ?? false;
          assert.equal(
            /[.e]/.test(source),
            isFloat || !/^-?\d+$/.test(source),
            `${class_name}.${key}: ${source}`,
          );
        }
      }
    }
    Object.values(value).forEach(visit);
  }
}

Deno.test("a registered optimizer and a patched one are described with floats too", async () => {
  const { send } = startService();
  const definition = {
    class_name: "Mine",
    hyperparameters: { learning_rate: { default: 1, schedule: true }, beta: { default: 0 } },
    dense: ["w = w - learning_rate * (g + beta)"],
  };
  assert.equal((await send("POST", "/v1/optimizers", { body: definition })).status, 201);
  const made = await send("POST", "/v1/runs", {
    body: { id: "one", optimizer: "Mine", variables: VARIABLES },
  });
  assert.match(await made.text(), /"learning_rate":1\.0,.*"beta":0\.0/);
  const cosine = { class_name: "CosineDecay", config: { initial_learning_rate: 2, decay_steps: 1e21 } };
  const body = { config: { beta: 3, learning_rate: cosine } };
  const patched = await send("PATCH", "/v1/runs/one/optimizer", { body });
  assert.match(await patched.text(), /"initial_learning_rate":2\.0,"decay_steps":1e\+21,.*"beta":3\.0/);
});
