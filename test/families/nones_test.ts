/** null in the configs of Keras' families means what None means in Keras; in our own families it means absent. */
import assert from "node:assert/strict";
import { StepwellError } from "../../src/errors.ts";
import { constraints } from "../../src/families/constraints/mod.ts";
import { initializers } from "../../src/families/initializers/mod.ts";
import { parseOptimizer, ruleOf } from "../../src/families/optimizers/optimizer.ts";
import { schedules } from "../../src/families/schedules/mod.ts";
import { readGolden } from "./support/goldens.ts";
import { MEMBERS } from "./support/members.ts";

type Config = Record<string, unknown>;

const { nones } = readGolden<{
  nones: {
    family: string;
    class_name: string;
    config: Config;
    key: string;
    none: "absent" | "refused" | "own";
  }[];
}>("nones.json");

const RESOLVERS: Readonly<Record<string, (json: unknown) => unknown>> = {
  optimizers: (json) => {
    const { optimizer } = parseOptimizer(json);
    // The name is for Keras only; null makes another one.
    return [{ ...optimizer.current, name: "" }, ruleOf(optimizer)];
  },
  schedules: (json) => schedules.resolve(json).config,
  constraints: (json) => constraints.resolve(json).config,
  initializers: (json) => initializers.resolve(json).config,
};

/** None has a meaning of its own here, and null the same one. */
const OWN = ["axis", "seed"];
/** Keras takes None for one more number, as no bound; ours must be given. */
const NO_BOUND = [
  "MaxNorm.max_value",
  "MinMaxNorm.max_value",
  "RandomUniform.maxval",
  "MinMaxNorm.min_value",
];

Deno.test("null in the configs of Keras' families is absent, or refused, as None is in Keras", () => {
  let absent = 0, refused = 0;
  for (const { family, class_name, config, key, none } of nones) {
    const resolve = RESOLVERS[family];
    assert.ok(resolve);
    const what = `${class_name}.${key}`, given = { class_name, config: { ...config, [key]: null } };
    if (none === "own" && OWN.includes(key)) {
      resolve(given);
    } else if (none === "absent" && !NO_BOUND.includes(what)) {
      assert.deepEqual(resolve(given), resolve({ class_name, config }), what);
      absent += 1;
    } else {
      assert.throws(() => resolve(given), (error) => error instanceof StepwellError, what);
      refused += 1;
    }
  }
  assert.ok(absent > 40 && refused > 40, `${absent} absent, ${refused} refused`);
});

const OWN_FAMILIES = ["aggregators", "staleness_weightings", "transformers", "clip_norms"];

Deno.test("null for an optional key of our own families is the key left out", () => {
  let count = 0;
  for (const { member, given, family, folder } of MEMBERS) {
    if (!OWN_FAMILIES.includes(folder)) continue;
    for (const [key, field] of Object.entries(member.config.shape)) {
      if (!field.safeParse(undefined).success) continue;
      const { class_name } = member, { [key]: _, ...without } = given as Config;
      const resolved = (config: Config) => {
        try {
          return family.resolve({ class_name, config }).config;
        } catch (error) {
          assert.ok(error instanceof StepwellError);
          return error.code;
        }
      };
      assert.deepEqual(resolved({ ...without, [key]: null }), resolved(without), `${class_name}.${key}`);
      count += 1;
    }
  }
  assert.ok(count > 10, String(count));
});
