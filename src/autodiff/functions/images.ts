/** Convolutions and pools, over [batch, height, width, channels] as in TensorFlow. */
import { type Shape, showShape } from "../../tensor.ts";
import {
  define,
  integer,
  type Literal,
  MisfitError,
  type Option,
  type Tensor,
  type Tf,
  word,
} from "./define.ts";
import { linesOf, type Pair, Windowed, type Windows } from "./windows.ts";

const readPair = (literal: Literal): Pair | undefined => {
  const pair = typeof literal === "number" ? [literal, literal] : literal;
  const isPair = Array.isArray(pair) && pair.length === 2 && pair.every((n) => Number.isInteger(n) && n > 0);
  return isPair ? pair as number[] : undefined;
};
/** Height and width; one number is both. */
const pair = (initial?: Pair): Option<Pair> => ({
  wanted: "a positive integer or two of them",
  ...initial && { initial },
  read: readPair,
});
const pairOrNone = (): Option<Pair | null> => ({
  wanted: "a positive integer, two of them, or none",
  initial: null,
  read: (literal) => literal === "none" ? null : readPair(literal),
});
const padding = () => word(["valid", "same"], "valid");

function convolved(x: Shape, kernel: Shape, options: Omit<Windows, "size">): Shape {
  if (kernel.length !== 4) {
    throw new MisfitError(`the kernel has shape ${showShape(kernel)}, must have 4 dimensions`);
  }
  const [down, across] = linesOf(x, { size: kernel.slice(0, 2), ...options });
  if (kernel[2] !== x[3]) throw new MisfitError(`the kernel is for ${kernel[2]} channels, x has ${x[3]}`);
  return [x[0] as number, down.count, across.count, kernel[3] as number];
}

interface Convolution {
  readonly strides: Pair;
  readonly padding: string;
}

/**
 * The gradient of the kernel is one product of matrices for each of its places: tfjs' wasm backend has no kernel for
 * it, and the cpu backend's takes a hundred times as long.
 */
function conv2d(tf: Tf, x: Tensor, kernel: Tensor, { strides, padding }: Convolution): Tensor {
  const steps = strides as [number, number], pad = padding as "valid" | "same";
  const forward = tf.customGrad((...args: unknown[]) => {
    const [x, kernel, save] = args as [Tensor, Tensor, (tensors: Tensor[]) => void];
    save([x, kernel]);
    return {
      value: tf.conv2d(x as never, kernel as never, steps, pad) as Tensor,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [x, kernel] = saved as [Tensor, Tensor];
        const dx = tf.conv2dTranspose(dy as never, kernel as never, x.shape as never, steps, pad) as Tensor;
        return [dx, kernelGradient(tf, x, { dy, shape: kernel.shape, strides, padding })];
      },
    };
  });
  return forward(x, kernel);
}

function kernelGradient(
  tf: Tf,
  x: Tensor,
  { dy, shape, strides, padding }: Convolution & { readonly dy: Tensor; readonly shape: Shape },
): Tensor {
  const [, , channels, filters] = shape as [number, number, number, number];
  const windows = new Windowed(tf, x.shape, { size: shape.slice(0, 2), strides, padding });
  const padded = windows.padded(x, 0), rows = tf.reshape(dy, [windows.count, filters]);
  const parts = [...windows.places()].map((place) =>
    tf.tidy(() => {
      const seen = tf.reshape(windows.seen(padded, place), [windows.count, channels]);
      return tf.matMul(seen, rows, true) as Tensor;
    })
  );
  return tf.reshape(tf.stack(parts), [...shape]);
}

type Gradient = (windowed: Windowed, x: Tensor, value: Tensor, dy: Tensor) => Tensor;

/** tfjs' own gradients of pools are not TensorFlow's: of negative maxima, and where windows reach into the padding. */
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

/** The first of equal maxima has the gradient, as in TensorFlow. */
const maxGradient = (tf: Tf): Gradient => (windowed, x, value, dy) => {
  const padded = windowed.padded(x, -Infinity);
  let rest = dy, sum: Tensor | undefined;
  for (const place of windowed.places()) {
    const hit = tf.equal(windowed.seen(padded, place), value);
    const part = windowed.spread(tf.where(hit, rest, tf.zerosLike(rest)), place);
    rest = tf.where(hit, tf.zerosLike(rest), rest);
    sum = sum ? tf.add(sum, part) : part;
  }
  return sum as Tensor;
};

/** Of the padding nothing counts. */
const averageGradient = (tf: Tf): Gradient => (windowed, x, _, dy) => {
  const inside = windowed.padded(tf.onesLike(x), 0);
  const places = [...windowed.places()];
  const counts = tf.addN(places.map((place) => windowed.seen(inside, place)));
  const share = tf.div(dy, counts);
  return tf.addN(places.map((place) => windowed.spread(share, place)));
};

function pool(name: string, find: "maxPool" | "avgPool", does: string, gradient: (tf: Tf) => Gradient) {
  const windows = (
    { size, strides, padding }: { size: Pair; strides: Pair | null; padding: string },
  ): Windows => ({
    size,
    strides: strides ?? size,
    padding,
  });
  return define(name, {
    tensors: ["x"],
    options: { size: pair([2, 2]), strides: pairOrNone(), padding: padding() },
    does,
    shape: ([x]: [Shape], options) => {
      const [down, across] = linesOf(x, windows(options));
      return [x[0] as number, down.count, across.count, x[3] as number];
    },
    apply: (tf, [x]: [Tensor], options) => pooled(tf, x, windows(options), { find, gradient: gradient(tf) }),
  });
}

export const IMAGES = [
  define("conv2d", {
    tensors: ["x", "kernel"],
    options: { strides: pair([1, 1]), padding: padding() },
    does: "The convolution with a kernel of shape [height, width, channels, filters].",
    shape: ([x, kernel]: [Shape, Shape], options) => convolved(x, kernel, options),
    apply: (tf, [x, kernel]: [Tensor, Tensor], options) => conv2d(tf, x, kernel, options),
  }),
  define("depthwise_conv2d", {
    tensors: ["x", "kernel"],
    options: { strides: pair([1, 1]), padding: padding() },
    does: "Each channel with kernels of its own, of shape [height, width, channels, multiplier].",
    shape: ([x, kernel]: [Shape, Shape], options) => {
      const [batch, height, width, multiplier] = convolved(x, kernel, options) as [
        number,
        number,
        number,
        number,
      ];
      const [sy, sx] = options.strides;
      if (sy !== sx) throw new MisfitError("takes equal strides only");
      return [batch, height, width, multiplier * (x[3] as number)];
    },
    apply: (tf, [x, kernel]: [Tensor, Tensor], { strides, padding }) =>
      tf.depthwiseConv2d(
        x as never,
        kernel as never,
        strides as [number, number],
        padding as "valid" | "same",
      ),
  }),
  define("conv1d", {
    tensors: ["x", "kernel"],
    options: { stride: integer(1), padding: padding() },
    does: "The convolution of [batch, steps, channels] with a kernel of shape [size, channels, filters].",
    shape: ([x, kernel]: [Shape, Shape], { stride, padding }) => {
      if (x.length !== 3 || kernel.length !== 3) {
        throw new MisfitError(
          `the shapes are ${showShape(x)} and ${showShape(kernel)}, must have 3 dimensions`,
        );
      }
      if (stride < 1) throw new MisfitError(`stride is ${stride}, must be 1 or more`);
      const shape = convolved(x.toSpliced(1, 0, 1), [1, ...kernel], { strides: [1, stride], padding });
      return shape.toSpliced(1, 1);
    },
    apply: (tf, [x, kernel]: [Tensor, Tensor], { stride, padding }) => {
      const y = conv2d(tf, tf.expandDims(x, 1), tf.expandDims(kernel, 0), { strides: [1, stride], padding });
      return tf.squeeze(y, [1]);
    },
  }),
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
