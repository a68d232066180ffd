/**
 * Three ways to make the same step. The client computes the gradients of the network itself, or it sends the loss,
 * as an expression or as a layers model, and the service does the rest. Each way returns the batch's loss before
 * the step.
 */
import { CLASSES, type Digits, PIXELS } from "../federated_digits/digits.ts";
import { gradients, HIDDEN } from "../federated_digits/network.ts";
import type { RunClient } from "../run_client.ts";

export type Way = (run: RunClient, batch: Digits) => Promise<number>;

/** A loss for `POST …/minimize`. The names in quotes are the run's variables. */
const EXPRESSION = {
  loss: `
    hidden = relu(images @ 'hidden/kernel' + 'hidden/bias');
    logits = hidden @ 'output/kernel' + 'output/bias';
    sparse_categorical_crossentropy(labels, logits, from_logits=true)`,
};

/** The same network as Keras writes it (`model.to_json()`). Its weights are the run's variables LAYER/WEIGHT. */
const MODEL = {
  model: {
    class_name: "Sequential",
    config: {
      name: "digits",
      layers: [
        { class_name: "InputLayer", config: { name: "images", batch_input_shape: [null, PIXELS] } },
        { class_name: "Dense", config: { name: "hidden", units: HIDDEN, activation: "relu" } },
        { class_name: "Dense", config: { name: "output", units: CLASSES, activation: "linear" } },
      ],
    },
  },
  loss: { class_name: "SparseCategoricalCrossentropy", config: { from_logits: true } },
};

export const WAYS: Readonly<Record<string, Way>> = {
  async gradients(run, batch) {
    const { tensors } = await run.variables();
    const { loss, gradients: found } = gradients(tensors, batch);
    await run.sendGradients(found);
    return loss;
  },
  expression: (run, batch) =>
    run.minimize({ ...EXPRESSION, inputs: { images: images(batch), labels: labels(batch) } }),
  model: (run, batch) => run.minimize({ ...MODEL, inputs: images(batch), targets: labels(batch) }),
};

const images = ({ images, count }: Digits) => tensor(images, [count, PIXELS]);
const labels = ({ labels, count }: Digits) => tensor(labels, [count]);

/** A tensor in JSON, with its values as base64. */
function tensor(values: Float32Array | Int32Array, shape: readonly number[]) {
  const { buffer, byteOffset, byteLength } = values;
  const dtype = values instanceof Float32Array ? "float32" : "int32";
  return { dtype, shape, base64: new Uint8Array(buffer, byteOffset, byteLength).toBase64() };
}
