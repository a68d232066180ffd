/** The law over built-in optimizers: each, posted back as the catalogue shows it, is the same under another name. */
import assert from "node:assert/strict";
import { catalog } from "../../../src/families/catalog.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { newRegistry, slotsOf, step, variablesOf } from "../support/harness.ts";
import { gradientsOf, specOf } from "../support/variants.ts";

const registry = newRegistry();

/** Everything but what names the optimizer. */
const bitsOf = (session: Session) => ({
  variables: variablesOf(session),
  slots: slotsOf(session),
  weights: session.weights().tensors.map(({ name, values }) => [name, ...values]),
});

const RATE = {
  class_name: "ExponentialDecay",
  config: { initial_learning_rate: 0.1, decay_steps: 2, decay_rate: 0.5 },
};

for (const { class_name, variants } of catalog().optimizers) {
  Deno.test(`${class_name} has the same bits when it is posted back under another name`, async () => {
    for (const [index, { config, definition }] of variants.entries()) {
      const name = `${class_name}Again${index}`;
      const { created } = await registry.optimizers.register({ ...definition, class_name: name });
      assert.equal(created, true);
      // Nadam takes no schedule, and its decay is none of the learning rate.
      const rates = class_name === "Nadam"
        ? [{ learning_rate: 0.1 }]
        : class_name === "Ftrl"
        ? [{ learning_rate: 0.1 }, { learning_rate: RATE }]
        : [{ learning_rate: 0.1 }, { learning_rate: RATE, clipvalue: 1, global_clipnorm: 2 }];
      for (const rate of rates) {
        const decays = class_name === "Nadam" ? {} : decayOf(class_name);
        const original = { class_name, config: { ...config, ...rate, ...decays } };
        const again = { class_name: name, config: { ...rate, ...decays } };
        const spec = (optimizer: typeof original) =>
          specOf({ label: name, optimizer }, { non_finite: "propagate" });
        const one = await registry.create(spec(original));
        const other = await registry.create(spec(again));
        for (let seed = 0; seed < 6; seed++) {
          const gradients = gradientsOf(seed, { sparse: seed % 2 === 1, special: seed >= 4 });
          step(one, gradients);
          step(other, gradients);
          assert.deepEqual(bitsOf(other), bitsOf(one), `${name} after ${seed + 1} steps`);
        }
      }
    }
  });
}

/** The legacy optimizers divide their rate as steps go by; a registered one can too. */
function decayOf(className: string): { decay?: number } {
  const member = catalog().optimizers.find(({ class_name }) => class_name === className);
  return "decay" in ((member?.config["properties"] ?? {}) as object) ? { decay: 0.1 } : {};
}
