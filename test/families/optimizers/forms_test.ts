/** Whose rule a form means, and that answers, checkpoints and journals keep how it was written. */
import assert from "node:assert/strict";
import type { PartJson } from "../../../src/families/mechanism/family.ts";
import { getConfig, parseOptimizer } from "../../../src/families/optimizers/optimizer.ts";
import { loadOptimizer, saveOptimizer } from "../../../src/families/optimizers/saved.ts";
import { readTrajectories } from "../support/trajectories.ts";
import { newRegistry, refusal } from "../../run/support/harness.ts";

const moduleOf = (form: unknown) => parseOptimizer(form).optimizer.member.module;
const answered = (form: unknown) => getConfig(parseOptimizer(form).optimizer, { hypersCreated: false });

const LEGACY_MODULES = [
  "keras.optimizers.legacy",
  "tf_keras.optimizers.legacy",
  "keras.src.optimizers.legacy.adam",
  "tf.keras.optimizers.legacy",
  "tensorflow.keras.optimizers.legacy",
];

Deno.test("a form without a module, or with a legacy one, means the legacy optimizer", () => {
  for (const form of ["Adam", { class_name: "Adam" }, { class_name: "adam", module: null }]) {
    assert.equal(moduleOf(form), undefined);
  }
  for (const module of LEGACY_MODULES) assert.equal(moduleOf({ module, class_name: "Adam" }), undefined);
});

Deno.test("torch.optim and its submodules mean PyTorch's optimizers", () => {
  for (const module of ["torch.optim", "torch.optim.adam", "torch.optim.adamw"]) {
    assert.equal(moduleOf({ module, class_name: "AdamW" }), "torch.optim");
  }
});

Deno.test("a module that no convention has is refused, with those that are taken", () => {
  for (const module of ["torch", "torch.optimizers", "flax.optim", "kerasx.optimizers", ""]) {
    const { code, issues } = refusal(() => parseOptimizer({ module, class_name: "Adam" }, "optimizer"));
    assert.equal(code, "unknown_class");
    assert.deepEqual(issues.map(({ path }) => path), ["optimizer.module"]);
    assert.match(issues[0]?.message ?? "", /must be absent or one of .*torch\.optim/);
  }
});

Deno.test("a class that its module lacks is refused with the module's classes", () => {
  const { code, message } = refusal(() => parseOptimizer({ module: "torch.optim", class_name: "Ftrl" }));
  assert.equal(code, "unknown_class");
  assert.match(message, /"Ftrl", must be one of SGD, Adam, .* of torch\.optim/);
  assert.equal(refusal(() => parseOptimizer("RAdam")).code, "unknown_class");
});

Deno.test("a registered optimizer is found in any module that has no class of its name", async () => {
  const registry = newRegistry();
  const definition = { class_name: "ASGD", dense: ["w = w - 0.5 * g"] };
  await registry.optimizers.register(definition);
  const { family } = registry.optimizers;
  for (const module of ["mine.optim", "keras.optimizers.legacy", undefined]) {
    const form = { class_name: "ASGD", config: {}, ...module !== undefined && { module } };
    assert.equal(family.read(form).member.definition?.class_name, "ASGD");
  }
  assert.equal(family.read({ module: "torch.optim", class_name: "ASGD" }).member.definition, undefined);
});

Deno.test("an answer has the form that was given", () => {
  for (const module of [...LEGACY_MODULES, "torch.optim", "torch.optim.adam"]) {
    const { config, ...rest } = answered({ module, class_name: "adam", registered_name: null });
    assert.deepEqual(rest, { module, class_name: "Adam", registered_name: null });
    assert.deepEqual(answered({ module, class_name: "Adam", config, registered_name: null }).config, config);
  }
  assert.deepEqual(Object.keys(answered("Adam")), ["class_name", "config"]);
});

/** tf_keras writes schedules whose name is null, which Keras 3 refuses. */
function withNamedSchedule(form: PartJson): PartJson {
  const { learning_rate: rate } = form.config;
  if (typeof rate !== "object" || rate === null) return form;
  const { config: { name, ...config }, ...rest } = rate as PartJson;
  const named = { ...rest, config: { ...config, ...name !== null && { name } } };
  return { ...form, config: { ...form.config, learning_rate: named } };
}

for (const framework of ["keras", "tf_keras"]) {
  for (const { name, form } of readTrajectories(framework).forms ?? []) {
    Deno.test(`what serialize() of ${framework} writes is taken whole, and answered as it was: ${name}`, () => {
      const wanted = withNamedSchedule(form);
      assert.deepEqual(answered(form), wanted);
      assert.deepEqual(answered(JSON.parse(JSON.stringify(answered(form)))), wanted);
      const isLegacy = form.class_name === "Adam" && form.module === undefined;
      assert.equal(moduleOf(form), isLegacy ? undefined : "keras.optimizers");
    });
  }
}

Deno.test("the optimizers of Keras since 2.11 are meant by their modules, by Custom> and by their mark", () => {
  const rows: [Record<string, unknown>, string | undefined][] = [
    [{ module: "keras.optimizers" }, "keras.optimizers"],
    [{ module: "keras.optimizers.experimental" }, "keras.optimizers"],
    [{ module: "keras.src.optimizers.adam", registered_name: "Adam" }, "keras.optimizers"],
    [{ module: "tf_keras.optimizers" }, "keras.optimizers"],
    [{ class_name: "Custom>Adam" }, "keras.optimizers"],
    [{ config: { is_legacy_optimizer: false } }, "keras.optimizers"],
    [{ config: { is_legacy_optimizer: true } }, undefined],
    [{ class_name: "Custom>Adam", config: { is_legacy_optimizer: true } }, undefined],
  ];
  for (const [form, module] of rows) {
    assert.equal(moduleOf({ class_name: "Adam", ...form }), module, JSON.stringify(form));
  }
});

Deno.test("what only TensorFlow.js writes needs no module, and a registered optimizer of the name comes first", async () => {
  const forms = [
    { class_name: "Momentum" },
    { class_name: "Adam", config: { learningRate: 0.5 } },
    { class_name: "RMSProp", module: "@tensorflow/tfjs" },
    { class_name: "SGD", module: "tfjs" },
  ];
  for (const form of forms) assert.equal(moduleOf(form), "tfjs");
  assert.equal(moduleOf({ class_name: "RMSProp" }), undefined);
  const registry = newRegistry();
  await registry.optimizers.register({
    class_name: "Momentum",
    hyperparameters: { learningRate: { default: 0.5 } },
    dense: ["w = w - learningRate * g"],
  });
  for (const form of [{ class_name: "Momentum" }, { class_name: "momentum", config: { learningRate: 1 } }]) {
    assert.equal(registry.optimizers.family.read(form).member.module, undefined);
  }
});

Deno.test("a Keras config that would change numbers in a way that is not done here is refused", () => {
  const rows: Record<string, unknown>[] = [
    { use_ema: true },
    { loss_scale_factor: 2 },
    { gradient_accumulation_steps: 4 },
    { weight_decay: -1 },
    { ema_overwrite_frequency: 0 },
    { is_legacy_optimizer: true },
    { decay: 0.1 },
    { lr: 0.1 },
  ];
  for (const config of rows) {
    const form = { module: "keras.optimizers", class_name: "Adam", config };
    const { code, issues } = refusal(() => parseOptimizer(form));
    assert.equal(code, "invalid_config");
    assert.deepEqual(issues.map(({ path }) => path), [`config.${Object.keys(config)[0]}`]);
  }
});

Deno.test("a saved optimizer has its module and form, and a plain one has the bytes that it had before there were modules", () => {
  const form = { module: "torch.optim.adam", class_name: "Adam", config: { lr: 0.5, foreach: true } };
  const saved = saveOptimizer(parseOptimizer(form).optimizer);
  assert.equal(saved.module, "torch.optim");
  const { optimizer } = parseOptimizer(form);
  assert.deepEqual(loadOptimizer(JSON.parse(JSON.stringify(saved))), optimizer);
  const plain = saveOptimizer(parseOptimizer("Adam").optimizer);
  assert.deepEqual(Object.keys(plain), ["class_name", "constructed", "current", "bare"]);
});

Deno.test("PyTorch's keys are checked as PyTorch checks them, and those that change no number are answered", () => {
  const torch = (class_name: string, config: Record<string, unknown>) => ({
    module: "torch.optim",
    class_name,
    config,
  });
  const rows: [string, Record<string, unknown>, string][] = [
    ["SGD", { nesterov: true }, "config.nesterov"],
    ["SGD", { nesterov: true, momentum: 0.9, dampening: 0.1 }, "config.nesterov"],
    ["SGD", { lr: -1 }, "config.lr"],
    ["Adam", { betas: [0.9, 1] }, "config.betas.1"],
    ["Adam", { betas: [0.9] }, "config.betas"],
    ["Adam", { eps: -1e-8 }, "config.eps"],
    ["Adam", { learning_rate: 0.1 }, "config.learning_rate"],
    ["Rprop", { etas: [1.5, 0.5] }, "config.etas"],
    ["Rprop", { lr: { class_name: "Formula", config: { expression: "1 / T" } } }, "config.lr"],
  ];
  for (const [class_name, config, path] of rows) {
    const { code, issues } = refusal(() => parseOptimizer(torch(class_name, config)));
    assert.equal(code, "invalid_config", JSON.stringify(config));
    assert.deepEqual(issues.map((issue) => issue.path), [path]);
  }
  const given = { foreach: null, fused: true, capturable: false };
  const { config } = answered(torch("Adam", given));
  assert.deepEqual([config["fused"], config["capturable"], "foreach" in config], [true, false, false]);
});

Deno.test("a run of another convention has its form in every description", async () => {
  const registry = newRegistry();
  const optimizer = { module: "torch.optim", class_name: "Adam", config: { lr: 0.5, betas: [0.5, 0.75] } };
  const run = await registry.create({ optimizer, variables: [{ name: "w", shape: [2] }] });
  run.patchOptimizer({ lr: 0.25 });
  assert.deepEqual(run.optimizer().config["lr"], 0.25);
  const { class_name, module } = run.describe().optimizer;
  assert.deepEqual({ class_name, module }, { class_name: "Adam", module: "torch.optim" });
});
