/**
 * The network that all clients train: 64 pixels → 48 hidden units → 10 digits, in TensorFlow.js. It declares its
 * variables and computes loss, gradients and accuracy; Stepwell holds and updates the variables.
 */
import * as tf from "@tensorflow/tfjs";
import type { Tensor } from "../safetensors.ts";
import { CLASSES, type Digits, PIXELS } from "./digits.ts";

export const HIDDEN = 48;

/** The variables, for `POST /v1/runs`. */
export const VARIABLES = [
  {
    name: "hidden/kernel",
    shape: [PIXELS, HIDDEN],
    initial: { class_name: "GlorotUniform", config: { seed: 7 } },
  },
  { name: "hidden/bias", shape: [HIDDEN] },
  {
    name: "output/kernel",
    shape: [HIDDEN, CLASSES],
    initial: { class_name: "GlorotUniform", config: { seed: 8 } },
  },
  { name: "output/bias", shape: [CLASSES] },
] as const;

type Values = ReadonlyMap<string, Tensor>;

/** Sets up tfjs without its checks and advice, on its plain CPU backend, which suits matrices of this size. */
export async function startTensorFlow(): Promise<void> {
  tf.enableProdMode();
  await tf.setBackend("cpu");
  await tf.ready();
}

/** The mean cross-entropy of the batch, and its gradient for every variable. */
export function gradients(
  values: Values,
  batch: Digits,
): { loss: number; gradients: Record<string, Tensor> } {
  const { value, grads } = tf.tidy(() => {
    const images = tf.tensor2d(batch.images, [batch.count, PIXELS]);
    const labels = tf.oneHot(tf.tensor1d(batch.labels, "int32"), CLASSES);
    const lossOf = (...weights: tf.Tensor[]): tf.Scalar =>
      tf.losses.softmaxCrossEntropy(labels, logits(weights, images));
    return tf.valueAndGrads(lossOf)(weightsOf(values));
  });
  const named = VARIABLES.map(({ name, shape }, k) => [name, { shape, values: numbers(grads[k]) }] as const);
  const loss = numbers(value)[0] ?? NaN;
  tf.dispose([value, ...grads]);
  return { loss, gradients: Object.fromEntries(named) };
}

/** The share of images that are classified correctly. */
export function accuracy(values: Values, digits: Digits): number {
  return tf.tidy(() => {
    const images = tf.tensor2d(digits.images, [digits.count, PIXELS]);
    const guesses = logits(weightsOf(values), images).argMax(1).dataSync();
    return digits.labels.filter((label, i) => label === guesses[i]).length / digits.count;
  });
}

function logits([kernel1, bias1, kernel2, bias2]: tf.Tensor[], images: tf.Tensor2D): tf.Tensor2D {
  const hidden = tf.relu(tf.add(tf.matMul(images, kernel1 as tf.Tensor2D), bias1 as tf.Tensor));
  return tf.add(tf.matMul(hidden as tf.Tensor2D, kernel2 as tf.Tensor2D), bias2 as tf.Tensor);
}

function weightsOf(values: Values): tf.Tensor[] {
  return VARIABLES.map(({ name, shape }) => {
    const tensor = values.get(name);
    if (tensor === undefined) throw new Error(`Cannot compute: the service sent no variable ${name}`);
    return tf.tensor(tensor.values, [...shape], "float32");
  });
}

function numbers(tensor: tf.Tensor | undefined): Float32Array {
  return (tensor?.dataSync() ?? new Float32Array()) as Float32Array;
}
