/** The behaviour of Keras' constructors, configs and look-ups, as recorded in behaviour.json. */
import assert from "node:assert/strict";
import { StepwellError } from "../../src/errors.ts";
import { constraints } from "../../src/families/constraints/mod.ts";
import { getConfig, parseOptimizer } from "../../src/families/optimizers/optimizer.ts";
import { schedules } from "../../src/families/schedules/mod.ts";
import { readGolden, withoutModules } from "./support/goldens.ts";

type Json = Record<string, unknown>;
interface Outcome {
  readonly name: string;
  readonly error: { readonly message: string } | null;
}

const behaviour = readGolden<{
  configs: { name: string; optimizer: unknown; new: Json; read: Json }[];
  constructors: (Outcome & { optimizer: { config: Json }; config?: Json })[];
  schedules: (Outcome & { schedule: unknown; config?: Json })[];
  constraints:
    (Outcome & { class_name: string; given?: Json; config?: Json; shape?: number[]; alias?: string })[];
}>("behaviour.json");

function refusal(act: () => unknown): StepwellError | null {
  try {
    act();
    return null;
  } catch (error) {
    assert(error instanceof StepwellError, String(error));
    return error;
  }
}

Deno.test("getConfig() equals Keras' get_config when the optimizer is new and when it was read", () => {
  for (const { name, optimizer: json, ...want } of behaviour.configs) {
    const { optimizer } = parseOptimizer(json);
    const config = (hypersCreated: boolean) => JSON.stringify(getConfig(optimizer, { hypersCreated }).config);
    assert.equal(config(false), JSON.stringify(withoutModules(want.new)), name);
    assert.equal(config(true), JSON.stringify(withoutModules(want.read)), name);
  }
});

Deno.test("parseOptimizer() accepts and refuses when Keras' constructor does, naming the same key first", () => {
  for (const { name, optimizer: json, error, config } of behaviour.constructors) {
    const refused = refusal(() => parseOptimizer(json));
    assert.equal(refused !== null, error !== null, `${name}: ${refused?.message}`);
    if (refused) {
      const [key = ""] = refused.issues.map(({ path }) => path.split(".").at(-1) ?? "");
      const [only] = Object.keys(json.config).length === 1 ? Object.keys(json.config) : [];
      assert(
        error?.message.includes(key) || key === only,
        `${name}: ${refused.message} but Keras: ${error?.message}`,
      );
    } else {
      const { optimizer } = parseOptimizer(json);
      const got = getConfig(optimizer, { hypersCreated: false }).config;
      assert.deepEqual(got, withoutModules(config), name);
    }
  }
});

Deno.test("schedules.resolve() accepts and refuses when Keras does", () => {
  for (const { name, schedule, error, config } of behaviour.schedules) {
    const refused = refusal(() => schedules.resolve(schedule));
    assert.equal(refused !== null, error !== null, name);
    if (!refused) assert.deepEqual(schedules.resolve(schedule).config, config, name);
  }
});

Deno.test("constraints.resolve() finds and refuses when Keras does", () => {
  for (const { name, class_name, given = {}, config, shape, alias, error } of behaviour.constraints) {
    if (alias !== undefined) {
      // Class names are case-sensitive in Keras, but not here.
      if (!error) assert.equal(constraints.resolve(alias).member.class_name, class_name, name);
    } else if (shape !== undefined) {
      const part = constraints.resolve({ class_name, config: given });
      const refused = refusal(() => part.member.rule(part.config, shape, "here"));
      assert.equal(refused !== null, error !== null, name);
      assert.equal(refused?.code, "invalid_config");
    } else assert.deepEqual(constraints.resolve({ class_name, config: given }).config, config, name);
  }
});
