/**
 * Loss functions under Keras' names, targets first. Each computes one number per example (the last dimension is the
 * example's), then their mean. `reduction=none` keeps the numbers, `reduction=sum` adds them. Constants are Keras'.
 */
import { sameShape, type Shape, showShape } from "../../tensor.ts";
import {
  define,
  flag,
  MisfitError,
  number,
  type Option,
  type OptionValue,
  type Tensor,
  type Tf,
  word,
} from "./define.ts";
import { abs, detach } from "./elementwise.ts";
import { checkedIndices } from "./indices.ts";

const EPSILON = 1e-7;
type Given = Readonly<Record<string, OptionValue>>;
type PerExample = (tf: Tf, target: Tensor, output: Tensor, options: Given) => Tensor;

interface LossDefinition {
  readonly does: string;
  readonly options?: Readonly<Record<string, Option>>;
  readonly tensors?: readonly [string, string];
  readonly perExample: PerExample;
  /** Targets are class numbers, with one dimension less. */
  readonly sparse?: boolean;
}

function loss(name: string, { does, options = {}, tensors, perExample, sparse = false }: LossDefinition) {
  return define(name, {
    tensors: tensors ?? ["y_true", "y_pred"],
    options: { ...options, reduction: word(["mean", "sum", "none"], "mean") },
    does,
    shape: ([target, output]: [Shape, Shape], { reduction }) => {
      const wanted = sparse ? output.slice(0, -1) : output;
      if (!sameShape(target, wanted) || (sparse && output.length === 0)) {
        throw new MisfitError(`the targets have shape ${showShape(target)}, must have ${showShape(wanted)}`);
      }
      return reduction === "none" ? output.slice(0, -1) : [];
    },
    apply: (tf, [target, output]: [Tensor, Tensor], given) => {
      const row = (x: Tensor) => x.rank === 0 ? tf.reshape(x, [1]) : x;
      const each = perExample(tf, sparse ? target : row(target), row(output), given as Given);
      if (given.reduction === "mean") return tf.mean(each);
      if (given.reduction === "sum") return tf.sum(each);
      return output.rank === 0 ? tf.reshape(each, []) : each;
    },
  });
}

const meanOf =
  (each: (tf: Tf, target: Tensor, output: Tensor, options: Given) => Tensor): PerExample => (tf, ...rest) =>
    tf.mean(each(tf, ...rest), -1);
const sumOf =
  (each: (tf: Tf, target: Tensor, output: Tensor, options: Given) => Tensor): PerExample => (tf, ...rest) =>
    tf.sum(each(tf, ...rest), -1);

function smoothed(tf: Tf, target: Tensor, smoothing: OptionValue | undefined, toward: number): Tensor {
  const share = smoothing as number;
  return share === 0 ? target : tf.add(tf.mul(target, 1 - share), share * toward);
}

/** Exact for large logits too. */
const sigmoidCrossEntropy = (tf: Tf, target: Tensor, logits: Tensor) =>
  tf.add(tf.sub(tf.relu(logits), tf.mul(logits, target)), tf.log1p(tf.exp(tf.neg(abs(tf, logits)))));

const softmaxCrossEntropy = (tf: Tf, target: Tensor, logits: Tensor) =>
  tf.neg(tf.mul(target, tf.logSoftmax(logits)));

function binaryCrossentropy(tf: Tf, target: Tensor, output: Tensor, options: Given): Tensor {
  const wanted = smoothed(tf, target, options["label_smoothing"], 0.5);
  if (options["from_logits"]) return sigmoidCrossEntropy(tf, wanted, output);
  const p = tf.clipByValue(output, EPSILON, 1 - EPSILON);
  const hit = tf.mul(wanted, tf.log(tf.add(p, EPSILON)));
  const miss = tf.mul(tf.sub(1, wanted), tf.log(tf.add(tf.sub(1, p), EPSILON)));
  return tf.neg(tf.add(hit, miss));
}

function categoricalCrossentropy(tf: Tf, target: Tensor, output: Tensor, options: Given): Tensor {
  const classes = output.shape.at(-1) as number;
  const wanted = smoothed(tf, target, options["label_smoothing"], 1 / classes);
  if (options["from_logits"]) return softmaxCrossEntropy(tf, wanted, output);
  const p = tf.clipByValue(tf.div(output, tf.sum(output, -1, true)), EPSILON, 1 - EPSILON);
  return tf.neg(tf.mul(wanted, tf.log(p)));
}

function sparseCategoricalCrossentropy(tf: Tf, target: Tensor, output: Tensor, options: Given): Tensor {
  const classes = output.shape.at(-1) as number;
  const hot = tf.oneHot(tf.tensor(checkedIndices(target, classes), target.shape, "int32"), classes);
  const logits = options["from_logits"] ? output : tf.log(tf.clipByValue(output, EPSILON, 1 - EPSILON));
  return softmaxCrossEntropy(tf, tf.cast(hot, "float32"), logits);
}

/** Maps labels 0 and 1 to -1 and 1. */
function signs(tf: Tf, target: Tensor): Tensor {
  const isBinary = target.dataSync().every((x) => x === 0 || x === 1);
  return isBinary ? tf.sub(tf.mul(2, target), 1) : target;
}

const unit = (tf: Tf, x: Tensor) => tf.mul(x, tf.rsqrt(tf.maximum(tf.sum(tf.square(x), -1, true), 1e-12)));

const LOG_2 = Math.LN2;
const CROSS = { from_logits: flag(false), label_smoothing: number(0) };
const LOGITS = ["labels", "logits"] as const;

export const LOSSES = [
  loss("mean_squared_error", {
    does: "The mean squared difference.",
    perExample: meanOf((tf, target, output) => tf.square(tf.sub(output, target))),
  }),
  loss("mean_absolute_error", {
    does: "The mean absolute difference.",
    perExample: meanOf((tf, target, output) => abs(tf, tf.sub(output, target))),
  }),
  loss("mean_absolute_percentage_error", {
    does: "100 times the mean difference relative to the target.",
    perExample: meanOf((tf, target, output) => {
      const scale = tf.maximum(abs(tf, target), EPSILON);
      return tf.mul(100, abs(tf, tf.div(tf.sub(target, output), scale)));
    }),
  }),
  loss("mean_squared_logarithmic_error", {
    does: "The mean squared difference of `log(1 + x)`.",
    perExample: meanOf((tf, target, output) => {
      const log = (x: Tensor) => tf.log(tf.add(tf.maximum(x, EPSILON), 1));
      return tf.square(tf.sub(log(output), log(target)));
    }),
  }),
  loss("huber", {
    does: "Half the square of differences up to `delta`, linear beyond.",
    options: { delta: number(1) },
    perExample: meanOf((tf, target, output, { delta }) => {
      const error = tf.sub(output, target), size = abs(tf, error), d = delta as number;
      const beyond = tf.sub(tf.mul(d, size), 0.5 * d * d);
      return tf.where(tf.lessEqual(detach(tf, size), d), tf.mul(0.5, tf.square(error)), beyond);
    }),
  }),
  loss("log_cosh", {
    does: "The logarithm of the hyperbolic cosine of the difference.",
    perExample: meanOf((tf, target, output) => {
      const x = tf.sub(output, target);
      return tf.sub(tf.add(x, tf.softplus(tf.mul(-2, x))), LOG_2);
    }),
  }),
  loss("binary_crossentropy", {
    does: "Cross-entropy of independent labels 0 and 1 with probabilities, or with logits.",
    options: CROSS,
    perExample: meanOf(binaryCrossentropy),
  }),
  loss("categorical_crossentropy", {
    does: "Cross-entropy of distributions (one-hot labels) with probabilities, or with logits.",
    options: CROSS,
    perExample: sumOf(categoricalCrossentropy),
  }),
  loss("sparse_categorical_crossentropy", {
    does: "Cross-entropy of class numbers with probabilities, or with logits.",
    options: { from_logits: flag(false) },
    sparse: true,
    perExample: sumOf(sparseCategoricalCrossentropy),
  }),
  loss("softmax_cross_entropy", {
    does: "Cross-entropy of distributions with logits.",
    tensors: LOGITS,
    perExample: sumOf(softmaxCrossEntropy),
  }),
  loss("sigmoid_cross_entropy", {
    does: "Cross-entropy of independent labels 0 and 1 with logits.",
    tensors: LOGITS,
    perExample: meanOf(sigmoidCrossEntropy),
  }),
  loss("kl_divergence", {
    does: "The Kullback-Leibler divergence of the target's distribution from the other.",
    perExample: sumOf((tf, target, output) => {
      const p = tf.clipByValue(target, EPSILON, 1), q = tf.clipByValue(output, EPSILON, 1);
      return tf.mul(p, tf.log(tf.div(p, q)));
    }),
  }),
  loss("poisson", {
    does: "`y_pred - y_true * log(y_pred)`.",
    perExample: meanOf((tf, target, output) =>
      tf.sub(output, tf.mul(target, tf.log(tf.add(output, EPSILON))))
    ),
  }),
  loss("hinge", {
    does: "`maximum(1 - y_true * y_pred, 0)` for labels -1 and 1; labels 0 and 1 become those.",
    perExample: meanOf((tf, target, output) => tf.maximum(tf.sub(1, tf.mul(signs(tf, target), output)), 0)),
  }),
  loss("squared_hinge", {
    does: "The square of hinge.",
    perExample: meanOf((tf, target, output) =>
      tf.square(tf.maximum(tf.sub(1, tf.mul(signs(tf, target), output)), 0))
    ),
  }),
  loss("categorical_hinge", {
    does: "How far the best wrong class comes within 1 of the right one (one-hot labels).",
    perExample: (tf, target, output) => {
      const right = tf.sum(tf.mul(target, output), -1), wrong = tf.max(tf.mul(tf.sub(1, target), output), -1);
      return tf.maximum(tf.add(tf.sub(wrong, right), 1), 0);
    },
  }),
  loss("cosine_similarity", {
    does: "Minus the cosine of the angle between both.",
    perExample: sumOf((tf, target, output) => tf.neg(tf.mul(unit(tf, target), unit(tf, output)))),
  }),
];
