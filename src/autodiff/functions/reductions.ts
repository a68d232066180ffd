/** Functions that reduce the dimensions in `axis`, or all. */
import type { Shape } from "../../tensor.ts";
import { axes, axisOf, define, flag, integer, type Tensor, type Tf } from "./define.ts";
import { sqrt } from "./elementwise.ts";

type Axes = number | readonly number[] | null;

/** The dimensions in `axis`, each once, counted from the outermost. */
export function axesOf(axis: Axes, rank: number): number[] {
  if (axis === null) return Array.from({ length: rank }, (_, at) => at);
  const list = typeof axis === "number" ? [axis] : axis;
  return [...new Set(list.map((each) => axisOf(each, rank)))];
}

export function reducedShape(x: Shape, axis: Axes, keepdims: boolean): Shape {
  const reduced = axesOf(axis, x.length);
  if (keepdims) return x.map((n, at) => reduced.includes(at) ? 1 : n);
  return x.filter((_, at) => !reduced.includes(at));
}

function reduction(
  name: string,
  does: string,
  apply: (tf: Tf, x: Tensor, axes: number[], keepdims: boolean) => Tensor,
) {
  return define(name, {
    tensors: ["x"],
    options: { axis: axes(), keepdims: flag(false) },
    does,
    shape: ([x]: [Shape], { axis, keepdims }) => reducedShape(x, axis, keepdims),
    apply: (tf, [x]: [Tensor], { axis, keepdims }) => {
      const list = axesOf(axis, x.rank);
      return list.length === 0 ? reduceNothing(tf, x, apply) : apply(tf, x, list, keepdims);
    },
  });
}

/** Reduces each element alone, for a scalar or an empty list of axes. tfjs takes an empty list to mean all axes. */
function reduceNothing(
  tf: Tf,
  x: Tensor,
  apply: (tf: Tf, x: Tensor, axes: number[], keepdims: boolean) => Tensor,
): Tensor {
  return apply(tf, tf.expandDims(x, -1), [x.rank], false);
}

/** Equal extremes share the gradient, as in TensorFlow. */
function extreme(find: "max" | "min") {
  return (tf: Tf, x: Tensor, axes: number[], keepdims: boolean): Tensor => {
    const differentiable = tf.customGrad((...args: unknown[]) => {
      const [x, save] = args as [Tensor, (tensors: Tensor[]) => void];
      const value = tf[find](x, axes, keepdims);
      save([x, value]);
      return {
        value,
        gradFunc: (dy: Tensor, saved: Tensor[]) => {
          const [x, value] = saved as [Tensor, Tensor];
          const kept = [...reducedShape(x.shape, axes, true)];
          const hits = tf.cast(tf.equal(x, tf.reshape(value, kept)), "float32");
          return tf.mul(tf.div(hits, tf.sum(hits, axes, true)), tf.reshape(dy, kept));
        },
      };
    });
    return differentiable(x);
  };
}

const norm = (tf: Tf, x: Tensor, axes: number[], keepdims: boolean) =>
  sqrt(tf, tf.sum(tf.square(x), axes, keepdims));

/** Replaces tfjs' logSumExp, which gives NaN if the largest element is infinite. */
function logSumExp(tf: Tf, x: Tensor, axes: number[], keepdims: boolean): Tensor {
  const differentiable = tf.customGrad((...args: unknown[]) => {
    const [x, save] = args as [Tensor, (tensors: Tensor[]) => void];
    const largest = tf.max(x, axes, true) as Tensor;
    const shift = tf.where(tf.isFinite(largest), largest, tf.zerosLike(largest));
    const parts = tf.exp(tf.sub(x, shift)) as Tensor, sum = tf.sum(parts, axes, true) as Tensor;
    save([parts, sum]);
    return {
      value: tf.reshape(tf.add(tf.log(sum), shift), [...reducedShape(x.shape, axes, keepdims)]) as Tensor,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [parts, sum] = saved as [Tensor, Tensor];
        return tf.mul(tf.reshape(dy, sum.shape), tf.div(parts, sum)) as Tensor;
      },
    };
  });
  return differentiable(x);
}

export const REDUCTIONS = [
  reduction("sum", "The sum.", (tf, x, axes, keepdims) => tf.sum(x, axes, keepdims)),
  reduction("mean", "The mean.", (tf, x, axes, keepdims) => tf.mean(x, axes, keepdims)),
  reduction("max", "The largest; equal ones share the gradient.", extreme("max")),
  reduction("min", "The smallest; equal ones share the gradient.", extreme("min")),
  reduction(
    "variance",
    "The mean of the squared distances from the mean.",
    (tf, x, axes, keepdims) => tf.mean(tf.square(tf.sub(x, tf.mean(x, axes, true))), axes, keepdims),
  ),
  reduction("norm", "The root of the sum of squares.", norm),
  reduction("log_sum_exp", "`log(sum(exp(x)))` without overflow.", logSumExp),
  define("argmax", {
    tensors: ["x"],
    options: { axis: integer(-1) },
    does: "The place of the largest along an axis.",
    gradient: "stops",
    shape: ([x]: [Shape], { axis }) => {
      const at = axisOf(axis, x.length);
      return x.filter((_, other) => other !== at);
    },
    apply: (tf, [x]: [Tensor], { axis }) => tf.cast(tf.argMax(x, axisOf(axis, x.rank)), "float32"),
  }),
];
