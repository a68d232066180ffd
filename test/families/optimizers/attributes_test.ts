/** Attributes overwritten between steps: which of them Keras takes, and what follows from the others. */
import assert from "node:assert/strict";
import { StepwellError } from "../../../src/errors.ts";
import { serialize } from "../../../src/families/mechanism/family.ts";
import { overwrite } from "../../../src/families/optimizers/attributes.ts";
import { optimizers } from "../../../src/families/optimizers/mod.ts";
import {
  getConfig,
  learningRate,
  type Optimizer,
  parseOptimizer,
  ruleOf,
  uniforms,
} from "../../../src/families/optimizers/optimizer.ts";
import { loadOptimizer, saveOptimizer } from "../../../src/families/optimizers/saved.ts";

type Config = Record<string, unknown>;

const SCHEDULE = {
  class_name: "ExponentialDecay",
  config: { initial_learning_rate: 0.5, decay_steps: 1, decay_rate: 0.5 },
};

const make = (class_name: string, config: Config = {}): Optimizer =>
  parseOptimizer({ class_name, config }).optimizer;
const inUse = { hypersCreated: true };
const unused = { hypersCreated: false };

function issuesOf(optimizer: Optimizer, patch: Config): unknown {
  try {
    overwrite(optimizer, patch, { ...inUse, path: "optimizer" });
  } catch (error) {
    assert(error instanceof StepwellError, String(error));
    assert.equal(error.code, "invalid_config");
    return error.issues;
  }
  return "accepted";
}

Deno.test("overwrite() changes what the next step uses when an attribute is one that Keras reads at step time", () => {
  const adam = make("Adam");
  const { optimizer, warnings } = overwrite(adam, {
    learning_rate: 0.5,
    beta_1: 0.25,
    epsilon: 0,
    amsgrad: true,
  }, inUse);
  assert.deepEqual(warnings, []);
  assert.equal(learningRate(optimizer, 3), 0.5);
  assert.deepEqual(uniforms(optimizer), { beta_1: 0.25, beta_2: Math.fround(0.999), epsilon: 0 });
  assert.deepEqual(Object.keys(ruleOf(optimizer).slots), ["m", "v", "vhat"]);
  assert.deepEqual(ruleOf(adam).slots, { m: 0, v: 0 }, "the optimizer before is as it was");
});

Deno.test("overwrite() accepts the output of getConfig as a patch, without changes or warnings", () => {
  for (const member of optimizers.members) {
    const { optimizer } = parseOptimizer(serialize({ member, config: {} }));
    for (const options of [inUse, unused]) {
      const said = getConfig(optimizer, options);
      const same = overwrite(optimizer, said.config, options);
      assert.deepEqual(same.warnings, []);
      assert.deepEqual(getConfig(same.optimizer, options), said);
    }
  }
});

Deno.test("overwrite() warns and keeps the value when only the constructor reads it", () => {
  const rows: [Optimizer, Config][] = [
    [make("SGD", { decay: 0.5 }), { decay: 0 }],
    [make("SGD"), { name: "another" }],
    [make("Nadam"), { decay: 0.5 }],
    [make("Adagrad"), { initial_accumulator_value: 1 }],
    [make("Ftrl"), { l2_shrinkage_regularization_strength: 1 }],
    [make("Yogi"), { initial_accumulator_value: 1 }],
  ];
  for (const [optimizer, patch] of rows) {
    const { optimizer: after, warnings } = overwrite(optimizer, patch, inUse);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", /has no effect after construction: it stays/);
    assert.deepEqual(after.current, optimizer.current);
  }
});

Deno.test("overwrite() stores a momentum without effect when the constructor was given none", () => {
  for (const class_name of ["SGD", "RMSprop"]) {
    const { optimizer, warnings } = overwrite(make(class_name), { momentum: 0.5 }, inUse);
    assert.deepEqual(warnings, ["momentum has no effect: this optimizer was constructed without momentum"]);
    assert(!("momentum" in ruleOf(optimizer).slots));
    assert.equal(getConfig(optimizer, inUse).config["momentum"], 0.5);
  }
});

Deno.test("overwrite() keeps the momentum slot when momentum becomes 0", () => {
  const { optimizer, warnings } = overwrite(make("SGD", { momentum: 0.5 }), { momentum: 0 }, inUse);
  assert.deepEqual(warnings, []);
  assert.deepEqual(ruleOf(optimizer).slots, { momentum: 0 });
  assert.equal(uniforms(optimizer)["mu"], 0);
});

Deno.test("overwrite() reads lr as learning_rate, the later one when both are given", () => {
  for (const class_name of ["SGD", "Ftrl", "AdamW"]) {
    const rate = (patch: Config) => learningRate(overwrite(make(class_name), patch, inUse).optimizer, 0);
    assert.equal(rate({ lr: 0.25 }), 0.25);
    assert.equal(rate({ lr: 0.25, learning_rate: 0.5 }), 0.5);
    assert.equal(rate({ learning_rate: 0.5, lr: 0.25 }), 0.25);
  }
});

Deno.test("overwrite() replaces numbers and schedules by each other, and a number set after a schedule stays bare", () => {
  const rate = (optimizer: Optimizer, options: { hypersCreated: boolean }) =>
    getConfig(optimizer, options).config["learning_rate"];
  const scheduled =
    overwrite(make("SGD", { learning_rate: 0.1 }), { learning_rate: SCHEDULE }, inUse).optimizer;
  assert.equal(learningRate(scheduled, 2), 0.125);
  const again = overwrite(scheduled, { learning_rate: 0.1 }, inUse).optimizer;
  assert.equal(rate(again, inUse), 0.1);
  assert.equal(rate(overwrite(again, { learning_rate: 0.2 }, inUse).optimizer, inUse), 0.2);
  assert.equal(learningRate(again, 2), Math.fround(0.1));

  const early = overwrite(make("SGD", { learning_rate: SCHEDULE }), { learning_rate: 0.1 }, unused).optimizer;
  assert.equal(rate(early, unused), 0.1);
  assert.equal(rate(early, inUse), Math.fround(0.1));
});

Deno.test("overwrite() removes clips with null and accepts both norms, one by one or together", () => {
  const sgd = make("SGD", { clipnorm: 1, clipvalue: 2 });
  const { optimizer } = overwrite(sgd, { clipvalue: null, global_clipnorm: 3 }, inUse);
  const { config } = getConfig(optimizer, inUse);
  assert.deepEqual([config["clipnorm"], config["clipvalue"], config["global_clipnorm"]], [1, undefined, 3]);
  assert.equal(issuesOf(make("SGD"), { clipnorm: 1, global_clipnorm: 1 }), "accepted");
});

Deno.test("overwrite() refuses all of a patch when one value is wrong", () => {
  const known = "name, clipnorm, clipvalue, global_clipnorm, learning_rate, decay, momentum, nesterov, lr";
  const rows: [string, Config, Record<string, string>][] = [
    ["SGD", { beta_1: 0.5 }, { beta_1: `is an unknown key; SGD takes ${known}` }],
    ["SGD", { learning_rate: 0.5, clipnorm: -1 }, { clipnorm: "is -1, must be >= 0" }],
    ["SGD", { clipvalue: -1, clipnorm: "1" }, {
      clipvalue: "is -1, must be >= 0",
      clipnorm: 'is "1", must be of type number',
    }],
    ["SGD", { nesterov: 1 }, { nesterov: "is 1, must be of type boolean" }],
    ["SGD", { momentum: 1.5 }, { momentum: "is 1.5, must be <= 1" }],
    ["Adam", { epsilon: null }, { epsilon: "is null, must be of type number" }],
    ["Adam", { beta_1: 1e39 }, { beta_1: "is 1e+39, must be <= 3.4028234663852886e+38" }],
    ["Ftrl", { learning_rate_power: 1 }, { learning_rate_power: "is 1, must be <= 0" }],
    ["Nadam", { schedule_decay: 0.1 }, {
      schedule_decay:
        "is an unknown key; Nadam takes name, clipnorm, clipvalue, global_clipnorm, learning_rate, " +
        "decay, beta_1, beta_2, epsilon, lr",
    }],
    ["Nadam", { learning_rate: SCHEDULE }, {
      learning_rate: "is a schedule, must be a number: Nadam has a schedule of its own",
    }],
    ["Nadam", { lr: SCHEDULE }, {
      learning_rate: "is a schedule, must be a number: Nadam has a schedule of its own",
    }],
  ];
  for (const [class_name, patch, issues] of rows) {
    const wanted = Object.entries(issues).map(([key, message]) => ({
      path: `optimizer.config.${key}`,
      message,
    }));
    assert.deepEqual(issuesOf(make(class_name), patch), wanted);
  }
});

Deno.test("loadOptimizer() gives an equal optimizer when one was saved as JSON", () => {
  const patches: [Optimizer, Config][] = [
    [make("Nadam", { schedule_decay: 0.5, name: "" }), { epsilon: 0 }],
    [make("SGD"), { momentum: 0.5, clipnorm: 1, global_clipnorm: 2 }],
    [make("Adam", { learning_rate: SCHEDULE, decay: 0.5, epsilon: 0 }), {
      learning_rate: 0.1,
      amsgrad: true,
    }],
    [make("RMSprop", { lr: 0.5, momentum: 0.5 }), { learning_rate: SCHEDULE }],
    ...optimizers.members.map((member): [Optimizer, Config] => [
      parseOptimizer({ ...serialize({ member, config: {} }), registered_name: null }).optimizer,
      {},
    ]),
  ];
  for (const [optimizer, patch] of patches) {
    const saved = overwrite(optimizer, patch, inUse).optimizer;
    const loaded = loadOptimizer(JSON.parse(JSON.stringify(saveOptimizer(saved))));
    assert.deepEqual(loaded, saved);
    assert.deepEqual(getConfig(loaded, inUse), getConfig(saved, inUse));
  }
});

Deno.test("loadOptimizer() refuses what was not saved here", () => {
  const good = saveOptimizer(make("SGD"));
  const rows: [unknown, string][] = [
    [null, "invalid_config"],
    [{}, "invalid_config"],
    [{ ...good, class_name: "Foo" }, "unknown_class"],
    [{ ...good, current: { ...good.current, momentum: "much" } }, "invalid_config"],
    [{ ...good, constructed: { ...good.constructed, foo: 1 } }, "invalid_config"],
    [{ ...good, bare: 1 }, "invalid_config"],
  ];
  for (const [json, code] of rows) assert.throws(() => loadOptimizer(json), { code });
});
