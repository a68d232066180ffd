/** Hyperparameters overwritten for good, for one step, and in a dry run. */
import assert from "node:assert/strict";
import type { Session } from "../../../src/run/session/session.ts";
import { codeOf, open, refusal, slotsOf, stateOf, step, variablesOf } from "../support/harness.ts";

const SCHEDULE = {
  class_name: "ExponentialDecay",
  config: { initial_learning_rate: 1, decay_steps: 1, decay_rate: 0.5 },
};

async function openRun(optimizer: unknown): Promise<Session> {
  return await open({ optimizer, variables: [{ name: "w", shape: [2], initial: [1, 2] }] });
}

const openSgd = (config: Record<string, unknown> = {}) =>
  openRun({ class_name: "SGD", config: { learning_rate: 1, ...config } });

const rateOf = (session: Session) => session.optimizer().config["learning_rate"];

Deno.test("patchOptimizer() changes later steps only, and the version", async () => {
  const session = await openSgd();
  step(session, { w: [1, 1] });
  const { warnings, config } = session.patchOptimizer({ learning_rate: 0.25 });
  assert.deepEqual([warnings, config["learning_rate"], session.version], [[], 0.25, 2]);
  assert.equal(step(session, { w: [1, 1] }).learning_rate, 0.25);
  assert.deepEqual(variablesOf(session)["w"], [-0.25, 0.75]);
});

Deno.test("patchOptimizer() warns when Keras would silently ignore an attribute", async () => {
  const session = await openSgd({ decay: 0.5 });
  assert.deepEqual(session.patchOptimizer({ momentum: 0.9, decay: 0, name: "other" }).warnings, [
    "momentum has no effect: this optimizer was constructed without momentum",
    "decay has no effect after construction: it stays 0.5",
    'name has no effect after construction: it stays "SGD"',
  ]);
  step(session, { w: [1, 1] });
  assert.deepEqual(session.slotNames(), []);
  assert.equal(step(session, { w: [1, 1] }).learning_rate, Math.fround(1 / 1.5));
});

Deno.test("patchOptimizer() refuses unknown or out-of-range values and changes nothing", async () => {
  const session = await openSgd({ clipnorm: 1 });
  step(session, { w: [1, 1] });
  const before = stateOf(session);
  for (
    const [config, path] of [
      [{ learning_rate: 0.5, beta_1: 0.9 }, "config.beta_1"],
      [{ clipvalue: -1 }, "config.clipvalue"],
      [{ learning_rate: "fast" }, "config.learning_rate.class_name"],
      [{ learning_rate: { class_name: "ExponentialDecay", config: {} } }, "config.learning_rate.config"],
      [{ nesterov: 1 }, "config.nesterov"],
    ] as const
  ) {
    const { code, issues } = refusal(() => session.patchOptimizer(config));
    assert(["invalid_config", "unknown_class"].includes(code), code);
    assert(issues[0]?.path.startsWith(path), `${issues[0]?.path} is not below ${path}`);
    assert.deepEqual(stateOf(session), before);
  }
});

Deno.test("patchOptimizer() turns a schedule into a number and back", async () => {
  const session = await openSgd();
  const rates = [];
  for (const learning_rate of [undefined, SCHEDULE, 0.1, SCHEDULE, 0.3]) {
    if (learning_rate !== undefined) session.patchOptimizer({ learning_rate });
    rates.push([rateOf(session), step(session, { w: [0, 0] }).learning_rate]);
  }
  const scheduled = { ...SCHEDULE, config: { ...SCHEDULE.config, staircase: false, name: null } };
  // A number that replaces a schedule keeps its digits; a variable would hold a float32.
  assert.deepEqual(rates, [
    [1, 1],
    [scheduled, 0.5],
    [0.1, Math.fround(0.1)],
    [scheduled, 0.125],
    [0.3, Math.fround(0.3)],
  ]);
});

Deno.test("patchOptimizer() creates the slot when amsgrad is switched on later, and keeps it when it is switched off", async () => {
  const session = await openRun({ class_name: "Adam", config: { learning_rate: 1, beta_2: 0 } });
  const names = () => session.weights().tensors.map(({ name }) => name);
  step(session, { w: [2, 2] });
  session.patchOptimizer({ amsgrad: true });
  assert.deepEqual(slotsOf(session)["vhat"], { w: [0, 0] });
  assert.deepEqual(names(), ["w/m", "w/v"]);
  step(session, { w: [3, 1] });
  assert.deepEqual(slotsOf(session)["vhat"], { w: [9, 1] });
  session.patchOptimizer({ amsgrad: false });
  step(session, { w: [1, 4] });
  assert.deepEqual([slotsOf(session)["vhat"], slotsOf(session)["v"]], [{ w: [9, 1] }, { w: [1, 16] }]);
  session.patchOptimizer({ amsgrad: true });
  step(session, { w: [1, 2] });
  assert.deepEqual(slotsOf(session)["vhat"], { w: [9, 4] });
  assert.deepEqual(names(), ["w/m", "w/v", "w/vhat"]);
});

Deno.test("hyperparameters for one step hold for that step only", async () => {
  const session = await openSgd();
  const config = session.optimizer();
  const answer = step(session, { w: [4, 4] }, { hyperparameters: { lr: 0.5, clipvalue: 2 } });
  assert.deepEqual([answer.learning_rate, variablesOf(session)["w"]], [0.5, [0, 1]]);
  assert.deepEqual(session.optimizer(), config);
  assert.equal(session.version, 1);
  assert.equal(step(session, { w: [4, 4] }).learning_rate, 1);
  assert.deepEqual(variablesOf(session)["w"], [-4, -3]);
  assert.equal(
    step(session, { w: [0, 0] }, { hyperparameters: { learning_rate: SCHEDULE } }).learning_rate,
    0.25,
  );
  assert.equal(step(session, { w: [0, 0] }, { hyperparameters: { learning_rate: 0.5 } }).learning_rate, 0.5);
  assert.deepEqual(session.optimizer(), config);
});

Deno.test("hyperparameters for one step are refused when they need a missing slot, and accepted once it exists", async () => {
  for (
    const [class_name, key] of [["Adam", "amsgrad"], ["AdamW", "amsgrad"], ["RMSprop", "centered"]] as const
  ) {
    const session = await openRun({ class_name });
    step(session, { w: [1, 1] });
    const before = stateOf(session);
    const once = () => step(session, { w: [1, 1] }, { hyperparameters: { [key]: true } });
    const { code, issues } = refusal(once);
    assert.deepEqual([code, issues[0]?.path], ["invalid_config", "hyperparameters"]);
    assert.deepEqual(stateOf(session), before);
    session.patchOptimizer({ [key]: true });
    session.patchOptimizer({ [key]: false });
    assert.equal(once().applied, true);
    assert.equal(session.optimizer().config[key], false);
  }
});

Deno.test("hyperparameters for one step are refused when they are wrong, and give a warning when they do nothing", async () => {
  const session = await openSgd();
  const before = stateOf(session);
  const once = (hyperparameters: Record<string, unknown>) =>
    step(session, { w: [1, 1] }, { hyperparameters });
  const { code, issues } = refusal(() => once({ rho: 1 }));
  assert.deepEqual([code, issues[0]?.path], ["invalid_config", "hyperparameters.rho"]);
  assert.equal(codeOf(() => once({ clipnorm: -1 })), "invalid_config");
  assert.deepEqual(stateOf(session), before);
  assert.deepEqual(once({ momentum: 0.5 }).warnings, [
    "momentum has no effect: this optimizer was constructed without momentum",
  ]);
});

Deno.test("a dry run answers as the step would and changes nothing", async () => {
  const session = await openRun({ class_name: "Nadam", config: { clipnorm: 1 } });
  const gradients = { w: [3, 4] };
  const options = { hyperparameters: { learning_rate: 0.5 } };
  step(session, gradients);
  const before = stateOf(session);
  const dry = step(session, gradients, { ...options, dryRun: true });
  assert.deepEqual(stateOf(session), before);
  const wet = step(session, gradients, options);
  assert.deepEqual({ ...wet, applied: false, iterations: 1, version: 1 }, dry);
  assert.equal(codeOf(() => step(session, { w: ["NaN", 1] }, { dryRun: true })), "non_finite_gradient");
});

Deno.test("a dry run creates nothing when it is the first step", async () => {
  const session = await openRun("Adam");
  const before = stateOf(session);
  step(session, { w: [1, 2] }, { dryRun: true });
  assert.deepEqual(stateOf(session), before);
  assert.equal(session.weights().iterations, null);
});

Deno.test("float32 holds T and t when the iterations are beyond 2^24", async () => {
  const f = Math.fround;
  const session = await openRun({ class_name: "SGD", config: { learning_rate: 1, decay: 0.5 } });
  step(session, { w: [0, 0] });
  const iterations = 2 ** 24 + 1;
  session.setWeights([iterations]);
  const answer = step(session, { w: [1, 1] });
  assert.equal(answer.iterations, iterations + 1);
  assert.equal(answer.learning_rate, f(1 / f(1 + f(0.5 * f(iterations)))));
  assert.equal(session.weights().iterations, iterations + 1);
});
