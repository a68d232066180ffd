/**
 * get_config() and the learning rate of every step, compared with all recorded trajectories of tf_keras. The steps'
 * values are compared elsewhere, through a run.
 */
import assert from "node:assert/strict";
import { overwrite } from "../../../src/families/optimizers/attributes.ts";
import { getConfig, learningRate, parseOptimizer } from "../../../src/families/optimizers/optimizer.ts";
import { type GoldenCase, goldenFiles, readGolden, withoutModules } from "../support/goldens.ts";

for (const file of goldenFiles()) {
  const { cases = [] } = readGolden<{ cases?: GoldenCase[] }>(file);
  // Other libraries' configs and rates are not Keras'.
  const keras = cases.filter(({ expected }) => expected.config && expected.learning_rates);
  if (keras.length === 0) continue;
  Deno.test(`getConfig() and learningRate() equal Keras' when they follow ${file}`, () => {
    for (const { name, optimizer: json, steps, expected, bound } of keras) {
      let { optimizer } = parseOptimizer(json);
      const rates: number[] = [];
      for (const { patch = {}, set_weights } of steps) {
        // Setting weights can change the iteration; the rates of those cases are not compared here.
        if (set_weights) break;
        optimizer = overwrite(optimizer, patch, { hypersCreated: rates.length > 0 }).optimizer;
        rates.push(learningRate(optimizer, rates.length));
      }
      if (bound.ulp === 0) {
        assert.deepEqual(rates, expected.learning_rates?.map(Number).slice(0, rates.length), name);
      }
      if (rates.length < steps.length) continue;
      const { config } = getConfig(optimizer, { hypersCreated: rates.length > 0 });
      assert.equal(JSON.stringify(config), JSON.stringify(withoutModules(expected.config)), name);
    }
  });
}
