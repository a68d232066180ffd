/**
 * Convolutions over [batch, height, width, channels] as in TensorFlow. A gradient is a matrix product for each place
 * of the kernel, because tfjs' wasm backend has no kernels for gradients and those of the cpu backend take a hundred
 * times as long.
 */
import { elementCount, type Shape, showShape } from "../../tensor.ts";
import { define, integer, MisfitError, type Tensor, type Tf } from "./define.ts";
import { padding, pair } from "./image_options.ts";
import { costOf, linesOf, type Pair, Windowed, type Windows } from "./windows.ts";

interface Convolution {
  readonly strides: Pair;
  readonly padding: string;
  readonly dilations: Pair;
}

type Four = [number, number, number, number];
type Two = [number, number];

const windowsOf = (kernel: Shape, convolution: Convolution): Windows => ({
  ...convolution,
  size: kernel.slice(0, 2),
});

function checkKernel(kernel: Shape, channels: number | undefined, what = "x"): void {
  if (kernel.length !== 4) {
    throw new MisfitError(`the kernel has shape ${showShape(kernel)}, must have 4 dimensions`);
  }
  const at = what === "x" ? 2 : 3;
  if (kernel[at] !== channels) {
    throw new MisfitError(`the kernel is for ${kernel[at]} channels, x has ${channels}`);
  }
}

function convolved(x: Shape, kernel: Shape, convolution: Convolution): Shape {
  checkKernel(kernel, x[3]);
  const [down, across] = linesOf(x, windowsOf(kernel, convolution));
  return [x[0] as number, down.count, across.count, kernel[3] as number];
}

function convolutionCost(x: Shape, kernel: Shape, convolution: Convolution) {
  const { work, scratch } = costOf(x, windowsOf(kernel, convolution));
  return { work: work * (kernel[3] as number), scratch };
}

/** `forward(x, kernel)` with the gradients from `backward`. */
function withGradients(
  tf: Tf,
  [x, kernel]: readonly [Tensor, Tensor],
  forward: (x: Tensor, kernel: Tensor) => Tensor,
  backward: (dy: Tensor, x: Tensor, kernel: Tensor) => [Tensor, Tensor],
): Tensor {
  const differentiable = tf.customGrad((...args: unknown[]) => {
    const [x, kernel, save] = args as [Tensor, Tensor, (tensors: Tensor[]) => void];
    save([x, kernel]);
    return {
      value: forward(x, kernel),
      gradFunc: (dy: Tensor, saved: Tensor[]) => backward(dy, saved[0] as Tensor, saved[1] as Tensor),
    };
  });
  return differentiable(x, kernel);
}

const plain = (tf: Tf, x: Tensor, kernel: Tensor, { strides, padding, dilations }: Convolution) =>
  tf.conv2d(
    x as never,
    kernel as never,
    strides as Two,
    padding as "same",
    "NHWC",
    dilations as Two,
  ) as Tensor;

/** The matrix of one place of the kernel. */
const placeOf = (tf: Tf, matrices: Tensor, at: number): Tensor =>
  tf.squeeze(tf.slice(matrices, [at, 0, 0], [1, -1, -1]), [0]);

/** The gradient of a convolution with respect to its input. */
function backward(
  tf: Tf,
  dy: Tensor,
  kernel: Tensor,
  { shape, ...convolution }: Convolution & { readonly shape: Shape },
): Tensor {
  const { strides, padding, dilations } = convolution;
  if (elementCount(dilations) === 1) {
    return tf.conv2dTranspose(
      dy as never,
      kernel as never,
      [...shape] as Four,
      strides as Two,
      padding as "same",
    );
  }
  // tfjs has no transposed convolution with dilations.
  const windowed = new Windowed(tf, shape, windowsOf(kernel.shape, convolution));
  const [height, width, channels, filters] = kernel.shape as Four;
  const matrices = tf.reshape(kernel, [height * width, channels, filters]) as Tensor;
  const rows = tf.reshape(dy, [windowed.count, filters]);
  const given = [...dy.shape.slice(0, 3), channels];
  return windowed.cut(
    windowed.sum((place, at) =>
      windowed.spread(tf.reshape(tf.matMul(rows, placeOf(tf, matrices, at), false, true), given), place)
    ),
  );
}

function kernelGradient(
  tf: Tf,
  x: Tensor,
  { dy, shape, ...convolution }: Convolution & { readonly dy: Tensor; readonly shape: Shape },
): Tensor {
  const [, , channels, filters] = shape as Four;
  const windowed = new Windowed(tf, x.shape, windowsOf(shape, convolution));
  const padded = windowed.padded(x, 0), rows = tf.reshape(dy, [windowed.count, filters]);
  const parts = [...windowed.places()].map((place) =>
    tf.tidy(() => {
      const seen = tf.reshape(windowed.seen(padded, place), [windowed.count, channels]);
      return tf.matMul(seen, rows, true) as Tensor;
    })
  );
  return tf.reshape(tf.stack(parts), [...shape]);
}

const conv2d = (tf: Tf, x: Tensor, kernel: Tensor, convolution: Convolution): Tensor =>
  withGradients(tf, [x, kernel], (x, kernel) => plain(tf, x, kernel, convolution), (dy, x, kernel) => [
    backward(tf, dy, kernel, { ...convolution, shape: x.shape }),
    kernelGradient(tf, x, { ...convolution, dy, shape: kernel.shape }),
  ]);

/** The transposed convolution: the gradient of a convolution with this kernel with respect to its input. */
const conv2dTranspose = (
  tf: Tf,
  x: Tensor,
  kernel: Tensor,
  { shape, ...convolution }: Convolution & { readonly shape: Shape },
): Tensor =>
  withGradients(
    tf,
    [x, kernel],
    (x, kernel) => backward(tf, x, kernel, { ...convolution, shape }),
    (dy, x, kernel) => [
      plain(tf, dy, kernel, convolution),
      kernelGradient(tf, dy, { ...convolution, dy: x, shape: kernel.shape }),
    ],
  );

function transposedShape(
  x: Shape,
  kernel: Shape,
  { strides, padding }: Omit<Convolution, "dilations">,
): Shape {
  if (x.length !== 4) {
    throw new MisfitError(`x has shape ${showShape(x)}, must be [batch, height, width, channels]`);
  }
  checkKernel(kernel, x[3], "the result");
  const length = (at: 0 | 1) => {
    const all = (x[at + 1] as number) * (strides[at] as number);
    return padding === "same" ? all : all + Math.max((kernel[at] as number) - (strides[at] as number), 0);
  };
  return [x[0] as number, length(0), length(1), kernel[2] as number];
}

/** A convolution with separate kernels for each channel. */
const depthwise = (tf: Tf, x: Tensor, kernel: Tensor, convolution: Convolution): Tensor => {
  const { strides, padding, dilations } = convolution;
  return withGradients(
    tf,
    [x, kernel],
    (x, kernel) =>
      tf.depthwiseConv2d(
        x as never,
        kernel as never,
        strides as Two,
        padding as "same",
        "NHWC",
        dilations as Two,
      ),
    (dy, x, kernel) => {
      const windowed = new Windowed(tf, x.shape, windowsOf(kernel.shape, convolution));
      const [height, width, channels, multiplier] = kernel.shape as Four;
      const padded = windowed.padded(x, 0), rows = tf.reshape(dy, [windowed.count, channels, multiplier]);
      const kernels = tf.reshape(kernel, [height * width, channels, multiplier]) as Tensor;
      const dx = windowed.sum((place, at) => {
        const back = tf.sum(tf.mul(rows, placeOf(tf, kernels, at)), -1);
        return windowed.spread(tf.reshape(back, [...dy.shape.slice(0, 3), channels]), place);
      });
      const parts = [...windowed.places()].map((place) =>
        tf.tidy(() => {
          const seen = tf.reshape(windowed.seen(padded, place), [windowed.count, channels, 1]);
          return tf.sum(tf.mul(seen, rows), 0) as Tensor;
        })
      );
      return [windowed.cut(dx), tf.reshape(tf.stack(parts), kernel.shape)];
    },
  );
};

const OPTIONS = { strides: pair([1, 1]), padding: padding(), dilations: pair([1, 1]) };

function alongSteps(
  x: Shape,
  kernel: Shape,
  { stride, padding, dilation }: Steps,
): readonly [Shape, Shape, Convolution] {
  if (x.length !== 3 || kernel.length !== 3) {
    throw new MisfitError(`the shapes are ${showShape(x)} and ${showShape(kernel)}, must have 3 dimensions`);
  }
  if (stride < 1) throw new MisfitError(`stride is ${stride}, must be 1 or more`);
  if (dilation < 1) throw new MisfitError(`dilation is ${dilation}, must be 1 or more`);
  return [x.toSpliced(1, 0, 1), [1, ...kernel], { strides: [1, stride], padding, dilations: [1, dilation] }];
}

interface Steps {
  readonly stride: number;
  readonly padding: string;
  readonly dilation: number;
}

export const CONVOLUTIONS = [
  define("conv2d", {
    tensors: ["x", "kernel"],
    options: OPTIONS,
    does: "The convolution with a kernel of shape [height, width, channels, filters].",
    shape: ([x, kernel]: [Shape, Shape], options) => convolved(x, kernel, options),
    cost: ([x, kernel]: [Shape, Shape], options) => convolutionCost(x, kernel, options),
    apply: (tf, [x, kernel]: [Tensor, Tensor], options) => conv2d(tf, x, kernel, options),
  }),
  define("conv2d_transpose", {
    tensors: ["x", "kernel"],
    options: { strides: pair([1, 1]), padding: padding() },
    does:
      "What `conv2d` with a kernel of shape [height, width, channels of the result, channels] would make `x` of: it " +
      "makes images larger.",
    shape: ([x, kernel]: [Shape, Shape], options) => transposedShape(x, kernel, options),
    cost: ([x, kernel]: [Shape, Shape], options) => {
      const convolution = { ...options, dilations: [1, 1] };
      return convolutionCost(transposedShape(x, kernel, options), kernel, convolution);
    },
    apply: (tf, [x, kernel]: [Tensor, Tensor], options) =>
      conv2dTranspose(tf, x, kernel, {
        ...options,
        dilations: [1, 1],
        shape: transposedShape(x.shape, kernel.shape, options),
      }),
  }),
  define("depthwise_conv2d", {
    tensors: ["x", "kernel"],
    options: OPTIONS,
    does: "Each channel with kernels of its own, of shape [height, width, channels, multiplier].",
    shape: ([x, kernel]: [Shape, Shape], options) => {
      const shape = convolved(x, kernel, options);
      if (options.strides[0] !== options.strides[1]) throw new MisfitError("takes equal strides only");
      return shape.with(3, (shape[3] as number) * (x[3] as number));
    },
    cost: ([x, kernel]: [Shape, Shape], options) => convolutionCost(x, kernel, options),
    apply: (tf, [x, kernel]: [Tensor, Tensor], options) => depthwise(tf, x, kernel, options),
  }),
  define("conv1d", {
    tensors: ["x", "kernel"],
    options: { stride: integer(1), padding: padding(), dilation: integer(1) },
    does: "The convolution of [batch, steps, channels] with a kernel of shape [size, channels, filters].",
    shape: ([x, kernel]: [Shape, Shape], options) =>
      convolved(...alongSteps(x, kernel, options)).toSpliced(1, 1),
    cost: ([x, kernel]: [Shape, Shape], options) => convolutionCost(...alongSteps(x, kernel, options)),
    apply: (tf, [x, kernel]: [Tensor, Tensor], options) => {
      const [, , convolution] = alongSteps(x.shape, kernel.shape, options);
      return tf.squeeze(conv2d(tf, tf.expandDims(x, 1), tf.expandDims(kernel, 0), convolution), [1]);
    },
  }),
];
