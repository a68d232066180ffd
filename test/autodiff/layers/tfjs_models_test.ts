/** Models in tfjs' own JSON, compared with their values in tfjs. */
import assert from "node:assert/strict";
import { evaluate } from "../../../src/autodiff/worker/evaluate.ts";
import { Losses } from "../../../src/autodiff/losses.ts";
import { loadTfjs } from "../../../src/autodiff/worker/tfjs.ts";
import { readSettings } from "../../../src/config.ts";
import type { NamedTensor } from "../../../src/tensor.ts";
import { assertClose } from "../support/goldens.ts";

const tf = await loadTfjs();
const losses = new Losses(readSettings(() => undefined));
type Tensor = InstanceType<typeof tf.Tensor>;
type Weight = {
  readonly originalName: string;
  read(): Tensor;
  readonly val: InstanceType<typeof tf.Variable>;
};

const { layers } = tf;
const seeded = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, "float32", seed);
const MODELS = {
  "a perceptron": [[4, 3], [
    layers.dense({ units: 5, inputShape: [3], activation: "relu" }),
    layers.dense({ units: 2 }),
  ]],
  "a convolutional net": [[4, 6, 6, 1], [
    layers.conv2d({ filters: 3, kernelSize: 3, inputShape: [6, 6, 1], activation: "tanh" }),
    // tfjs' gradient of a maximum is wrong if the maximum is negative.
    layers.averagePooling2d({ poolSize: 2 }),
    layers.flatten(),
    layers.dense({ units: 2 }),
  ]],
  "an LSTM": [[4, 5, 3], [layers.lstm({ units: 5, inputShape: [5, 3] }), layers.dense({ units: 2 })]],
  "a GRU": [[4, 5, 3], [layers.gru({ units: 5, inputShape: [5, 3] }), layers.dense({ units: 2 })]],
  "an embedding": [[4, 5], [
    layers.embedding({ inputDim: 3, outputDim: 4, inputShape: [5] }),
    layers.flatten(),
    layers.dense({ units: 2 }),
  ]],
} as const;

for (const [what, [shape, parts]] of Object.entries(MODELS)) {
  Deno.test(`evaluate() gives the loss and the gradients that tfjs gives for ${what}, from its own JSON`, () => {
    const model = tf.sequential({ layers: [...parts] });
    const x = what === "an embedding"
      ? tf.tensor(Array(20).fill(0).map((_, at) => at % 3), [...shape])
      : seeded([...shape], 1);
    const y = seeded([4, 2], 2);
    const weights = model.trainableWeights as unknown as Weight[];
    const { value, grads } = tf.variableGrads(
      () => tf.losses.meanSquaredError(y, model.apply(x, { training: true }) as Tensor) as never,
      weights.map(({ val }) => val),
    );
    const variables: NamedTensor[] = weights.map((weight) => ({
      name: weight.originalName,
      shape: weight.read().shape,
      values: Float32Array.from(weight.read().dataSync()),
    }));
    const request = {
      model: model.toJSON(),
      loss: "meanSquaredError",
      inputs: x.arraySync(),
      targets: y.arraySync(),
    };
    const { graph, inputs, watched } = losses.compile(
      request,
      variables.map(({ name, shape }) => ({ name, shape, role: "optimize" })),
    );
    const { loss, gradients } = evaluate(tf, { graph, inputs, watched, variables, iteration: 0 });
    const bound = { relative: 1e-5 };
    assertClose(loss, { shape: [], values: Float32Array.from(value.dataSync()) }, {
      bound,
      what: "the loss",
    });
    assert.equal(gradients.length, weights.length);
    for (const gradient of gradients) {
      const wanted = grads[
        weights.find(({ originalName }) => originalName === gradient.name)?.val.name as string
      ] as Tensor;
      const values = Float32Array.from(wanted.dataSync());
      if (!("indices" in gradient)) {
        assertClose(gradient, { shape: wanted.shape, values }, { bound, what: gradient.name });
        continue;
      }
      const dense = new Float32Array(values.length), width = wanted.shape[1] as number;
      gradient.values.forEach((g, at) => {
        const to = (gradient.indices[Math.floor(at / width)] as number) * width + at % width;
        dense[to] = (dense[to] as number) + g;
      });
      assertClose({ shape: wanted.shape, values: dense }, { shape: wanted.shape, values }, {
        bound,
        what: gradient.name,
      });
    }
  });
}
