/**
 * The rival for losses: tfjs on its WebAssembly backend in this process, minimizing a loss as its documentation
 * shows. A step computes the gradients of its variables, takes an SGD step and reads the loss back. Data is already
 * in the backend.
 */
import * as tf from "@tensorflow/tfjs";

export interface LossStepper {
  /** Takes one step and returns the loss before it. */
  step(): number;
  /** A copy of a variable's current values. */
  values(name: string): Float32Array;
  dispose(): void;
}

export interface LossWork {
  readonly variables: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly values: Float32Array }>
  >;
  readonly learningRate: number;
  readonly loss: (variables: Readonly<Record<string, tf.Variable>>) => tf.Tensor;
}

export function tfjsLossStepper({ variables, learningRate, loss }: LossWork): LossStepper {
  const own = Object.fromEntries(
    Object.entries(variables).map(([name, { shape, values }]) => [
      name,
      tf.variable(tf.tensor(values.slice(), [...shape], "float32")),
    ]),
  );
  const optimizer = tf.train.sgd(learningRate);
  return {
    step: () => tf.tidy(() => optimizer.minimize(() => loss(own) as tf.Scalar, true)?.dataSync()[0] ?? NaN),
    values: (name) => own[name]?.dataSync().slice() as Float32Array,
    dispose() {
      Object.values(own).forEach((variable) => variable.dispose());
      optimizer.dispose();
    },
  };
}

/** 3 var1² + 2 var2². */
export const seedLoss: LossWork["loss"] = ({ var1, var2 }) =>
  tf.add(
    tf.mul(tf.mul(3, var1 as tf.Tensor), var1 as tf.Tensor),
    tf.mul(tf.mul(2, var2 as tf.Tensor), var2 as tf.Tensor),
  );

/** The mean softmax cross-entropy of a network with one hidden relu layer. */
export function networkLoss(
  { x, y }: { x: tf.Tensor; y: tf.Tensor },
): LossWork["loss"] {
  return ({ kernel_1, bias_1, kernel_2, bias_2 }) => {
    const hidden = tf.relu(tf.add(tf.matMul(x, kernel_1 as tf.Tensor), bias_1 as tf.Tensor));
    const logits = tf.add(tf.matMul(hidden, kernel_2 as tf.Tensor), bias_2 as tf.Tensor);
    return tf.losses.softmaxCrossEntropy(y, logits);
  };
}

/** Puts a batch into the backend, with `labels` as one-hot rows. */
export const batch = (
  { x, labels, features, classes }: {
    x: Float32Array;
    labels: Int32Array;
    features: number;
    classes: number;
  },
) => ({
  x: tf.tensor2d(x, [labels.length, features]),
  y: tf.oneHot(tf.tensor1d(labels, "int32"), classes),
});
