/** Runs whose steps would hold the event loop are refused, with the figure, wherever the rule or the size comes from. */
import assert from "node:assert/strict";
import { serialize } from "../../../src/families/mechanism/family.ts";
import { optimizers } from "../../../src/families/optimizers/mod.ts";
import { resolveSpec } from "../../../src/run/spec/spec.ts";
import { stepSeconds } from "../../../src/run/step/step_cost.ts";
import { newRegistry, refusal, refusalAsync, step } from "../support/harness.ts";

const POWERS = {
  class_name: "Powers",
  hyperparameters: { learning_rate: { default: 0.1 } },
  slots: {},
  dense: ["w = w - learning_rate * (w^1.7 + abs(g)^1.3 + exp(w))"],
};

Deno.test("a run of 30 million numbers may have any built-in optimizer", () => {
  for (const member of optimizers.members) {
    const optimizer = serialize({ member, config: {} });
    const spec = resolveSpec({ optimizer, variables: [{ name: "w", shape: [3e7] }] }, optimizers);
    const seconds = stepSeconds(spec, [spec.optimizer]);
    assert(seconds > 0.01 && seconds < 2, `${member.class_name}: ${seconds} s`);
  }
});

Deno.test("create() refuses a costly rule on a large run with the figure, and takes it on a small one", async () => {
  const registry = newRegistry({ stepSecondsMax: 2 });
  await registry.optimizers.register(POWERS);
  const spec = (count: number) => ({ optimizer: "Powers", variables: [{ name: "w", shape: [count] }] });
  const { code, issues: [issue] } = await refusalAsync(() => registry.create(spec(5e7)));
  assert.equal(code, "invalid_config");
  assert.match(issue?.message ?? "", /about \d\.\d s.*at most 2 s \(STEPWELL_STEP_SECONDS_MAX\)/);
  assert.equal(registry.figures().runs, 0);
  await registry.create(spec(1000));
});

Deno.test("create() refuses an aggregator that compares too many contributions", async () => {
  const registry = newRegistry({ stepSecondsMax: 2 });
  const spec = (aggregator: string, quorum: number) => ({
    optimizer: "SGD",
    variables: [{ name: "w", shape: [200_000] }],
    aggregation: {
      mode: "round" as const,
      quorum,
      aggregator: { class_name: aggregator, config: aggregator === "Sum" ? {} : { byzantine: 2 } },
    },
  });
  for (const aggregator of ["Krum", "MultiKrum"]) {
    const { code } = await refusalAsync(() => registry.create(spec(aggregator, 500)));
    assert.equal(code, "invalid_config");
  }
  await registry.create(spec("Krum", 50));
  await registry.create(spec("Sum", 500));
});

Deno.test("patches and overrides are refused when they make the rule too costly", async () => {
  const registry = newRegistry({ stepSecondsMax: 1 });
  const optimizer = { class_name: "Ftrl", config: { learning_rate_power: -0.5 } };
  const session = await registry.create({ optimizer, variables: [{ name: "w", shape: [2.5e7] }] });
  const hyperparameters = { learning_rate_power: -0.7 };
  const gradient = { w: { indices: [3], values: [1] } };
  assert.equal(refusal(() => session.patchOptimizer(hyperparameters)).code, "invalid_config");
  assert.equal(refusal(() => step(session, gradient, { hyperparameters })).code, "invalid_config");
  assert.equal(session.version, 0);
  assert.equal(step(session, gradient).applied, true);
});
