/**
 * The law over built-in optimizers: each one, posted as the catalogue shows it, works the same under another name.
 */
import assert from "node:assert/strict";
import { type PartJson, serialize } from "../../../src/families/mechanism/family.ts";
import { definitionOf } from "../../../src/families/optimizers/custom/definition_of_member.ts";
import { optimizers } from "../../../src/families/optimizers/mod.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { newRegistry, slotsOf, step, variablesOf } from "../support/harness.ts";
import { gradientsOf, specOf } from "../support/variants.ts";

const registry = newRegistry();

/** Everything except the optimizer's name. */
const bitsOf = (session: Session) => ({
  variables: variablesOf(session),
  slots: slotsOf(session),
  weights: session.weights().tensors.map(({ name, values }) => [name, ...values]),
});

const RATE = {
  class_name: "ExponentialDecay",
  config: { initial_learning_rate: 0.1, decay_steps: 2, decay_rate: 0.5 },
};

for (const member of optimizers.members) {
  const { class_name, module, rateKey } = member;
  const title = module === undefined ? class_name : `${module}.${class_name}`;
  Deno.test(`${title} has the same bits when it is posted back under another name`, async () => {
    for (const [index, config] of member.variants.entries()) {
      const definition = definitionOf(member, config);
      const name = `${title.replaceAll(".", "_")}_again${index}`;
      const { created } = await registry.optimizers.register({ ...definition, class_name: name });
      assert.equal(created, true);
      // Nadam takes no schedule, and its decay does not apply to the learning rate.
      const rates = !member.schedulable.includes(rateKey) || (module === undefined && class_name === "Nadam")
        ? [{ learning_rate: 0.1 }]
        : class_name === "Ftrl"
        ? [{ learning_rate: 0.1 }, { learning_rate: RATE }]
        : [{ learning_rate: 0.1 }, { learning_rate: RATE, clipvalue: 1, global_clipnorm: 2 }];
      for (const { learning_rate, ...clips } of rates) {
        const decays = member.timeDecay ? { decay: 0.1 } : {};
        // A member whose rate is only a first value has it in its definition.
        const own = member.schedulable.includes(rateKey) ? { [rateKey]: learning_rate } : {};
        const original = serialize({ member, config: { ...config, ...own, ...clips, ...decays } });
        const againRate = "learning_rate" in definition.hyperparameters ? { learning_rate } : {};
        const again = { class_name: name, config: { ...againRate, ...clips, ...decays } };
        const spec = (optimizer: PartJson) => specOf({ optimizer }, { non_finite: "propagate" });
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
