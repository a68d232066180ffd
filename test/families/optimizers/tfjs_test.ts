/** The rules of TensorFlow.js, held to TensorFlow.js itself on its CPU backend, over 50 steps. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { newRegistry, slotsOf, step, tensor, variablesOf } from "../../run/support/harness.ts";
import { gradient, initial, SHAPE } from "../support/trajectories.ts";
import { getConfig, parseOptimizer } from "../../../src/families/optimizers/optimizer.ts";

const BOUND = 1e-6;

await tf.setBackend("cpu");

const MADE: readonly (() => tf.Optimizer)[] = [
  () => tf.train.sgd(0.1),
  () => tf.train.momentum(0.1, 0.9),
  () => tf.train.momentum(0.1, 0.9, true),
  () => tf.train.adagrad(0.1),
  () => tf.train.adagrad(0.1, 0.01),
  () => tf.train.adadelta(0.5),
  () => tf.train.adadelta(0.5, 0.8, 0.01),
  () => tf.train.adam(0.02),
  () => tf.train.adam(0.02, 0.8, 0.95, 0.01),
  () => tf.train.adamax(0.02),
  () => tf.train.adamax(0.02, 0.8, 0.95, 0.01, 0.1),
  () => tf.train.rmsprop(0.02),
  () => tf.train.rmsprop(0.02, 0.8, 0.5, 0.01),
  // Centered, an epsilon above the variance makes the root of a negative number: here where the first gradient is 0.
  () => tf.train.rmsprop(0.02, 0.8, 0.5, 1e-20, true),
];

function assertClose(got: readonly number[], want: ArrayLike<number>, what: string) {
  const wanted = Array.from(want);
  const numbers = wanted.filter((value) => !Number.isNaN(value));
  const largest = numbers.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  // Few elements are NaN, with the one optimizer that makes some.
  assert(Number.isFinite(largest) && numbers.length > wanted.length / 2, what);
  wanted.forEach((value, at) => {
    const apart = Math.abs((got[at] as number) - value);
    assert(
      Object.is(got[at], value) || apart <= BOUND * largest,
      `${what}[${at}] is ${got[at]}, must be ${value}`,
    );
  });
}

for (const make of MADE) {
  const optimizer = make();
  const form = {
    class_name: optimizer.getClassName(),
    config: optimizer.getConfig() as Record<string, unknown>,
  };
  const name = `${form.class_name} ${JSON.stringify(form.config)}`;
  Deno.test(`TensorFlow.js takes the same steps: ${name}`, async () => {
    const { optimizer: ours } = parseOptimizer(form);
    assert.equal(ours.member.module, "tfjs");
    assert.deepEqual(getConfig(ours, { hypersCreated: true }), form);
    const run = await newRegistry().create({
      optimizer: form,
      variables: [{ name: "w", shape: SHAPE, initial: tensor(SHAPE, initial(SHAPE)) }],
    });
    const variable = tf.variable(tf.tensor(initial(SHAPE), SHAPE as [number, number]));
    for (let n = 1; n <= 50; n++) {
      const values = tf.tensor(gradient(n), SHAPE as [number, number]);
      optimizer.applyGradients({ [variable.name]: values as tf.Variable });
      values.dispose();
      step(run, { w: tensor(SHAPE, gradient(n)) });
      assertClose(variablesOf(run)["w"] ?? [], variable.dataSync(), `w after step ${n}`);
    }
    const held = slotsOf(run);
    // TensorFlow.js has no getWeights() for Adamax.
    for (
      const { name: slot, tensor: values } of form.class_name === "Adamax" ? [] : await optimizer.getWeights()
    ) {
      const own = held[slot.split("/").at(-1) as string]?.["w"];
      if (own) assertClose(own, values.dataSync(), slot);
    }
    variable.dispose();
    optimizer.dispose();
  });
}
