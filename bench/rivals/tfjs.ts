/**
 * The rival in the same process: TensorFlow.js on its WebAssembly SIMD backend, in its best form. Gradients are
 * already in the backend, production mode is on, and nothing is read back unless the caller asks for it.
 *
 * Its Adam adds epsilon after the bias correction and its Adagrad adds epsilon under the root, so its results are
 * close to those of Keras but not equal.
 */
import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-wasm";
import {
  BETA_1,
  BETA_2,
  type DenseRule,
  type DenseWork,
  EPSILON,
  INITIAL_ACCUMULATOR,
  LEARNING_RATE,
  MOMENTUM,
  type Stepper,
} from "../work.ts";

export async function startTfjs(): Promise<void> {
  tf.enableProdMode();
  await tf.setBackend("wasm");
  await tf.ready();
  if (tf.getBackend() !== "wasm") throw new Error(`Cannot use tfjs: its backend is "${tf.getBackend()}"`);
}

/** One `applyGradients` per step; with `clipNorm`, after clipping by the global norm. */
export function tfjsStepper(work: DenseWork, options: { clipNorm?: number } = {}): Stepper {
  const { clipNorm } = options;
  const optimizer = tfjsOptimizer(work.rule);
  const variable = tf.variable(tf.tensor1d(work.initial.slice()));
  const gradient = tf.tensor1d(work.gradient.slice());
  return {
    name: "tfjs-wasm",
    step() {
      if (clipNorm === undefined) {
        optimizer.applyGradients([{ name: variable.name, tensor: gradient }]);
        return;
      }
      tf.tidy(() => {
        // clip_norm / max(norm, clip_norm), computed on the backend: nothing is read back.
        const norm = tf.sqrt(tf.sum(tf.square(gradient)));
        const factor = tf.div(clipNorm, tf.maximum(norm, clipNorm));
        optimizer.applyGradients([{ name: variable.name, tensor: tf.mul(gradient, factor) }]);
      });
    },
    values: () => variable.dataSync().slice() as Float32Array,
    dispose() {
      variable.dispose();
      gradient.dispose();
      optimizer.dispose();
    },
  };
}

function tfjsOptimizer(rule: DenseRule): tf.Optimizer {
  switch (rule) {
    case "SGD":
      return tf.train.sgd(LEARNING_RATE);
    case "Momentum":
      return tf.train.momentum(LEARNING_RATE, MOMENTUM);
    case "Adam":
      return tf.train.adam(LEARNING_RATE, BETA_1, BETA_2, EPSILON);
    case "Adagrad":
      return tf.train.adagrad(LEARNING_RATE, INITIAL_ACCUMULATOR);
  }
}

/** The Euclidean norm of `values`, read back as a number. */
export function tfjsNorm(values: Float32Array): { norm(): number; dispose(): void } {
  const tensor = tf.tensor1d(values.slice());
  return {
    norm: () => tf.tidy(() => tf.sqrt(tf.sum(tf.square(tensor))).dataSync()[0] ?? NaN),
    dispose: () => tensor.dispose(),
  };
}
