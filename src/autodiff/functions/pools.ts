/** Pooling over [batch, height, width, channels] as in TensorFlow, and upsampling. */
import type { Shape } from "../../tensor.ts";
import { define, type Tensor, type Tf } from "./define.ts";
import { padding, pair, pairOrNone } from "./image_options.ts";
import { costOf, linesOf, type Pair, Windowed, type Windows } from "./windows.ts";

type Gradient = (windowed: Windowed, x: Tensor, value: Tensor, dy: Tensor) => Tensor;

/** tfjs' gradients of pools differ from TensorFlow's for negative maxima and for windows that overlap the padding. */
function pooled(
  tf: Tf,
  x: Tensor,
  windows: Windows,
  { find, gradient }: { find: "maxPool" | "avgPool"; gradient: Gradient },
) {
  const { size, strides, padding } = windows;
  const forward = tf.customGrad((...args: unknown[]) => {
    const [x, save] = args as [Tensor, (tensors: Tensor[]) => void];
    const value = tf[find](
      x as never,
      size as [number, number],
      strides as [number, number],
      padding as "valid" | "same",
    ) as Tensor;
    save([x, value]);
    return {
      value,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [x, value] = saved as [Tensor, Tensor], windowed = new Windowed(tf, x.shape, windows);
        return windowed.cut(gradient(windowed, x, value, dy));
      },
    };
  });
  return forward(x);
}

/** The first of equal maxima gets the gradient, as in TensorFlow. */
const maxGradient = (tf: Tf): Gradient => (windowed, x, value, dy) => {
  const padded = windowed.padded(x, -Infinity);
  let rest = dy;
  return windowed.sum((place) => {
    const hit = tf.equal(windowed.seen(padded, place), value), before = rest;
    const zeros = tf.zerosLike(before);
    const part = windowed.spread(tf.where(hit, before, zeros), place);
    rest = tf.keep(tf.where(hit, zeros, before));
    if (before !== dy) before.dispose();
    return part;
  });
};

/** The padding does not count. */
const averageGradient = (tf: Tf): Gradient => (windowed, x, _, dy) => {
  const inside = windowed.padded(tf.onesLike(x), 0);
  const share = tf.div(dy, windowed.sum((place) => windowed.seen(inside, place)));
  return windowed.sum((place) => windowed.spread(share, place));
};

function pool(name: string, find: "maxPool" | "avgPool", does: string, gradient: (tf: Tf) => Gradient) {
  const windows = (
    { size, strides, padding }: { size: Pair; strides: Pair | null; padding: string },
  ): Windows => ({ size, strides: strides ?? size, padding, dilations: [1, 1] });
  return define(name, {
    tensors: ["x"],
    options: { size: pair([2, 2]), strides: pairOrNone(), padding: padding() },
    does,
    shape: ([x]: [Shape], options) => {
      const [down, across] = linesOf(x, windows(options));
      return [x[0] as number, down.count, across.count, x[3] as number];
    },
    cost: ([x]: [Shape], options) => costOf(x, windows(options)),
    apply: (tf, [x]: [Tensor], options) => pooled(tf, x, windows(options), { find, gradient: gradient(tf) }),
  });
}

export const POOLS = [
  pool(
    "max_pool2d",
    "maxPool",
    "The largest number in each window of each channel; without `strides`, windows side by side.",
    maxGradient,
  ),
  pool(
    "average_pool2d",
    "avgPool",
    "The mean of each window of each channel; without `strides`, windows side by side.",
    averageGradient,
  ),
];
