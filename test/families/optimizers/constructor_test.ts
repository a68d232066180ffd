/** The refusals of Keras' constructors, in their order, and the cases where they deviate from their arguments. */
import assert from "node:assert/strict";
import { StepwellError } from "../../../src/errors.ts";
import { optimizers } from "../../../src/families/optimizers/mod.ts";
import { getConfig, parseOptimizer } from "../../../src/families/optimizers/optimizer.ts";

type Config = Record<string, unknown>;

const LEGACY = ["SGD", "Adam", "Adamax", "Nadam", "Adagrad", "Adadelta", "RMSprop", "Ftrl"];
const SCHEDULE = {
  class_name: "ExponentialDecay",
  config: { initial_learning_rate: 0.5, decay_steps: 1, decay_rate: 0.5 },
};

function firstRefusal(class_name: string, config: Config): string {
  try {
    parseOptimizer({ class_name, config }, "optimizer");
  } catch (error) {
    assert(error instanceof StepwellError, String(error));
    assert.equal(error.code, "invalid_config");
    return error.message;
  }
  return "accepted";
}

/** Each row breaks the rule that it names. If it breaks two, the first named is the one that Keras raises. */
const REFUSALS: [string, Config, string][] = [
  ["SGD", { foo: 1, clipnorm: -1 }, "foo is an unknown key"],
  ["SGD", { clipnorm: -1, foo: 1 }, "clipnorm is -1, must be >= 0"],
  ["SGD", { clipvalue: -0.5 }, "clipvalue is -0.5, must be >= 0"],
  ["SGD", { global_clipnorm: -2 }, "global_clipnorm is -2, must be >= 0"],
  ["SGD", { decay: -1 }, "decay is -1, must be >= 0"],
  ["SGD", { lr: -0.1 }, "lr is -0.1, must be >= 0"],
  ["SGD", { decay: null }, "decay is null, must be of type number"],
  [
    "SGD",
    { clipnorm: 1, global_clipnorm: 2 },
    "global_clipnorm is 2 beside clipnorm 1, must be null or alone",
  ],
  ["SGD", { global_clipnorm: 2, clipnorm: 1, momentum: 2 }, "global_clipnorm is 2 beside clipnorm 1"],
  ["SGD", { clipnorm: 1, global_clipnorm: -1 }, "global_clipnorm is -1, must be >= 0"],
  ["SGD", { momentum: -0.1 }, "momentum is -0.1, must be >= 0"],
  ["SGD", { momentum: 1.1, decay: -1 }, "decay is -1, must be >= 0"],
  ["RMSprop", { momentum: 1.1 }, "momentum is 1.1, must be <= 1"],
  ["RMSprop", { centered: 1 }, "centered is 1, must be of type boolean"],
  ["Adagrad", { initial_accumulator_value: -1 }, "initial_accumulator_value is -1, must be >= 0"],
  ["Adagrad", { clipnorm: -1, initial_accumulator_value: -1 }, "initial_accumulator_value is -1"],
  ["Ftrl", { initial_accumulator_value: -1, clipnorm: -1 }, "clipnorm is -1"],
  ["Ftrl", { learning_rate_power: 0.1 }, "learning_rate_power is 0.1, must be <= 0"],
  ["Ftrl", { l1_regularization_strength: -1 }, "l1_regularization_strength is -1, must be >= 0"],
  ["Ftrl", { l2_regularization_strength: -1 }, "l2_regularization_strength is -1, must be >= 0"],
  ["Ftrl", { l2_shrinkage_regularization_strength: -1 }, "l2_shrinkage_regularization_strength is -1"],
  ["Nadam", { schedule_decay: -1 }, "schedule_decay is -1, must be >= 0"],
  ["Nadam", { clipnorm: -1, learning_rate: SCHEDULE }, "learning_rate is a schedule, must be a number"],
  ["Adam", { learning_rate: "0.1" }, 'class_name is "0.1"'],
  ["Adam", { learning_rate: [0.1] }, "learning_rate is [0.1], must be a number or a schedule"],
  ["Adam", { learning_rate: 1e39 }, "learning_rate is 1e+39, must be <= 3.4028234663852886e+38"],
  ["Adam", { beta_1: 1e39 }, "beta_1 is 1e+39, must be <= 3.4028234663852886e+38"],
  ["Adam", { amsgrad: 1 }, "amsgrad is 1, must be of type boolean"],
  ["Adam", { beta_1: null }, "beta_1 is null, must be"],
  ["AdamW", { decay: 0.1 }, "decay is an unknown key"],
  ["Lion", { beta_1: 1.5 }, "beta_1 is 1.5, must be <= 1"],
];

for (const [class_name, config, message] of REFUSALS) {
  Deno.test(`parseOptimizer() refuses ${class_name} when it gets ${JSON.stringify(config)}`, () => {
    if (message.startsWith("class_name")) {
      assert.throws(() => parseOptimizer({ class_name, config }), { code: "unknown_class" });
    } else assert(firstRefusal(class_name, config).startsWith(`Cannot configure ${class_name}: ${message}`));
  });
}

Deno.test("parseOptimizer() accepts values beyond any sensible range that Keras does not check", () => {
  const accepted: [string, Config][] = [
    ["SGD", { learning_rate: -1 }],
    ["SGD", { clipvalue: 1, clipnorm: 2 }],
    ["SGD", { clipvalue: 0, global_clipnorm: 0 }],
    ["SGD", { clipnorm: 1, global_clipnorm: null }],
    ["Adam", { beta_1: 2, epsilon: -1 }],
    ["RMSprop", { rho: 5 }],
    ["Ftrl", { beta: -1 }],
  ];
  for (const [class_name, config] of accepted) assert.equal(firstRefusal(class_name, config), "accepted");
});

function built(class_name: string, config: Config) {
  const { optimizer, warnings } = parseOptimizer({ class_name, config });
  return { config: getConfig(optimizer, { hypersCreated: false }).config, warnings };
}

Deno.test("parseOptimizer() lets lr override learning_rate when both are given, and warns", () => {
  for (const class_name of LEGACY.filter((name) => name !== "Ftrl")) {
    const { config, warnings } = built(class_name, { lr: 0.5, learning_rate: 0.25 });
    assert.equal(config["learning_rate"], 0.5);
    assert.deepEqual(warnings, ["lr is deprecated, use learning_rate: 0.5 overrides 0.25"]);
  }
});

Deno.test("parseOptimizer() ignores lr when the optimizer is Ftrl, and warns", () => {
  const { config, warnings } = built("Ftrl", { lr: 0.5 });
  assert.equal(config["learning_rate"], 0.001);
  assert.deepEqual(warnings, ["lr 0.5 is ignored, as Keras does here: learning_rate stays 0.001"]);
});

Deno.test("parseOptimizer() makes epsilon 1e-7 when it is 0 or null, and warns", () => {
  for (const { class_name, config: schema } of optimizers.members) {
    if (!LEGACY.includes(class_name) || !("epsilon" in schema.shape)) continue;
    for (const epsilon of [0, null]) {
      const { config, warnings } = built(class_name, { epsilon });
      assert.equal(config["epsilon"], 1e-7);
      assert.deepEqual(warnings, [`epsilon ${epsilon} becomes 1e-7, as in Keras`]);
    }
  }
});

Deno.test("parseOptimizer() keeps an epsilon of 0 when the optimizer is not in Keras' legacy family", () => {
  for (const class_name of ["AdamW", "Lamb", "Yogi"]) {
    assert.deepEqual(built(class_name, { epsilon: 0 }).warnings, []);
    assert.equal(built(class_name, { epsilon: 0 }).config["epsilon"], 0);
  }
});

Deno.test("parseOptimizer() discards decay when the optimizer is Nadam, and warns", () => {
  const { config, warnings } = built("Nadam", { decay: 0.5 });
  assert.equal(config["decay"], 0.004);
  assert.deepEqual(warnings, ["decay 0.5 is discarded, as in Keras: schedule_decay is 0.004"]);
  assert.equal(built("Nadam", { decay: -0.5, schedule_decay: 0.02 }).config["decay"], 0.02);
  assert.deepEqual(built("Nadam", { schedule_decay: 0.02 }).warnings, []);
});

Deno.test("parseOptimizer() names the optimizer itself when the name is empty", () => {
  const names = { SGD: "sgd", RMSprop: "rm_sprop", Adam: "adam", AdamW: "adam_w" };
  for (const [class_name, name] of Object.entries(names)) {
    for (const empty of ["", null]) {
      const { config, warnings } = built(class_name, { name: empty });
      assert.equal(config["name"], name);
      assert.match(warnings[0] ?? "", /unlike in Keras it is not made unique/);
    }
  }
  assert.equal(built("SGD", { name: "mine" }).config["name"], "mine");
  assert.equal(built("SGD", {}).config["name"], "SGD");
});

Deno.test("parseOptimizer() warns when Adagrad gets a schedule, which Keras cannot read back", () => {
  assert.equal(built("Adagrad", { learning_rate: SCHEDULE }).warnings.length, 1);
  assert.deepEqual(built("Adam", { learning_rate: SCHEDULE }).warnings, []);
});

Deno.test("getConfig() has every default of a schedule when only its required fields were given", () => {
  const wanted = {
    class_name: "ExponentialDecay",
    config: { ...SCHEDULE.config, staircase: false, name: null },
  };
  const newer = { ...SCHEDULE, module: "keras.optimizers.schedules", registered_name: null };
  for (const learning_rate of [SCHEDULE, newer]) {
    assert.deepEqual(built("SGD", { learning_rate }).config["learning_rate"], wanted);
  }
});

Deno.test("parseOptimizer() points into the schedule when its config is wrong", () => {
  const learning_rate = { class_name: "ExponentialDecay", config: { ...SCHEDULE.config, staircase: 1 } };
  assert.throws(() => parseOptimizer({ class_name: "SGD", config: { learning_rate } }, "optimizer"), {
    code: "invalid_config",
    issues: [{
      path: "optimizer.config.learning_rate.config.staircase",
      message: "is 1, must be of type boolean",
    }],
  });
});
