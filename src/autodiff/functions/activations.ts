/** Activation functions under their Keras names. */
import type { Shape } from "../../tensor.ts";
import { define, elementwise, flag, number, type Tensor, type Tf } from "./define.ts";
import { detach, withSlope } from "./elementwise.ts";

const activation = (name: string, does: string, apply: (tf: Tf, x: Tensor) => Tensor) =>
  elementwise(name, ["x"], does, apply);

/** Defines an activation over the last dimension. */
const alongRows = (name: string, does: string, apply: (tf: Tf, x: Tensor) => Tensor) =>
  define(name, {
    tensors: ["x"],
    does,
    shape: ([x]: [Shape]) => x,
    // A scalar counts as a row of one number.
    apply: (tf, [x]: [Tensor]) => x.rank === 0 ? tf.reshape(apply(tf, tf.reshape(x, [1])), []) : apply(tf, x),
  });

const SELU_SCALE = 1.0507009873554805, SELU_ALPHA = 1.6732632423543772;

/** Replaces tfjs' selu, whose slope at 0 is that of the left side. */
const selu = (tf: Tf, x: Tensor) =>
  withSlope(tf, x, (x) => tf.selu(x), (x) => {
    const left = tf.mul(SELU_SCALE * SELU_ALPHA, tf.exp(tf.minimum(x, 0)));
    return tf.where(tf.less(x, 0), left, tf.fill(x.shape, SELU_SCALE));
  });

const softsign = (tf: Tf, x: Tensor) => {
  const scale = (x: Tensor) => tf.add(1, tf.abs(x)) as Tensor;
  return withSlope(tf, x, (x) => tf.div(x, scale(x)), (x) => tf.square(tf.div(1, scale(x))));
};

const swish = (tf: Tf, x: Tensor) => tf.mul(x, tf.sigmoid(x));

export const ACTIVATIONS = [
  activation("relu", "`maximum(x, 0)`.", (tf, x) => tf.relu(x)),
  activation("relu6", "`clip(x, 0, 6)`.", (tf, x) => tf.relu6(x)),
  define("leaky_relu", {
    tensors: ["x"],
    options: { alpha: number(0.2) },
    does: "`x`, but `alpha * x` where that is negative.",
    shape: ([x]: [Shape]) => x,
    apply: (tf, [x]: [Tensor], { alpha }) => tf.leakyRelu(x, alpha),
  }),
  define("elu", {
    tensors: ["x"],
    options: { alpha: number(1) },
    does: "`x`, but `alpha * (exp(x) - 1)` where that is negative.",
    shape: ([x]: [Shape]) => x,
    apply: (tf, [x]: [Tensor], { alpha }) =>
      tf.where(tf.greater(detach(tf, x), 0), x, tf.mul(alpha, tf.expm1(tf.minimum(x, 0)))),
  }),
  activation("selu", "The self-normalizing unit (Klambauer et al., 2017).", selu),
  define("gelu", {
    tensors: ["x"],
    options: { approximate: flag(false) },
    does: "`x` times the normal distribution's share below it; `approximate` by a tanh.",
    shape: ([x]: [Shape]) => x,
    apply: (tf, [x]: [Tensor], { approximate }) => {
      const cubic = () =>
        tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.mul(x, tf.square(x)))));
      const share = approximate ? tf.tanh(cubic()) : tf.erf(tf.div(x, Math.SQRT2));
      return tf.mul(tf.mul(0.5, x), tf.add(1, share));
    },
  }),
  activation("swish", "`x * sigmoid(x)`.", swish),
  activation("silu", "Another name of swish.", swish),
  activation("mish", "`x * tanh(softplus(x))`.", (tf, x) => tf.mul(x, tf.tanh(tf.softplus(x)))),
  activation("softsign", "`x / (1 + abs(x))`.", softsign),
  activation(
    "hard_sigmoid",
    "`clip(0.2 * x + 0.5, 0, 1)`, as in Keras 2.",
    (tf, x) => tf.clipByValue(tf.add(tf.mul(0.2, x), 0.5), 0, 1),
  ),
  activation("hard_silu", "`x * relu6(x + 3) / 6`.", (tf, x) => tf.mul(x, tf.div(tf.relu6(tf.add(x, 3)), 6))),
  activation("log_sigmoid", "The logarithm of sigmoid.", (tf, x) => tf.neg(tf.softplus(tf.neg(x)))),
  alongRows("softmax", "`exp(x)`, divided by its sum along the last dimension.", (tf, x) => tf.softmax(x)),
  alongRows("log_softmax", "The logarithm of softmax.", (tf, x) => tf.logSoftmax(x)),
];
