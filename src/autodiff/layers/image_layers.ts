/** Convolution and pooling layers over [batch, height, width, channels] and [batch, steps, channels]. */
import { z } from "zod";
import { MisfitError } from "../functions/define.ts";
import {
  activate,
  activation,
  channelsLast,
  count,
  inputOf,
  last,
  layer,
  type LayerCall,
  only,
  padding,
  pair,
  single,
  yes,
} from "./layer.ts";

const PLAIN = { data_format: channelsLast(), groups: only(1) };
const apart = () => pair().default([1, 1]);
const DEPTHWISE = {
  kernel_size: pair(),
  strides: pair().default([1, 1]),
  padding: padding(),
  depth_multiplier: count().default(1),
  dilation_rate: apart(),
  activation: activation(),
  use_bias: yes(true),
  ...PLAIN,
};

function finish(
  call: LayerCall,
  y: number,
  { use_bias, activation }: { use_bias: boolean; activation: Parameters<typeof activate>[2] },
): number {
  const biased = use_bias ? call.call("add", [y, call.weight("bias", [last(call.shape(y))])]) : y;
  return activate(call, biased, activation);
}

const pool2d = (className: string, name: string, does: string) =>
  layer(className, {
    does,
    config: {
      pool_size: pair().default([2, 2]),
      strides: z.union([pair(), z.null()]).default(null),
      padding: padding(),
      data_format: channelsLast(),
    },
    build: (call, { pool_size, strides, padding }) =>
      call.call(name, [inputOf(call)], { size: pool_size, strides, padding }),
  });

/** Defines a pool over one dimension, computed as an image of one row. */
const pool1d = (className: string, name: string, does: string) =>
  layer(className, {
    does,
    config: {
      pool_size: single().default(2),
      strides: z.union([single(), z.null()]).default(null),
      padding: padding(),
      data_format: channelsLast(),
    },
    build: (call, { pool_size, strides, padding }) => {
      const row = call.call("expand_dims", [inputOf(call)], { axis: 1 });
      const options = { size: [1, pool_size], strides: [1, strides ?? pool_size], padding };
      return call.call("squeeze", [call.call(name, [row], options)], { axis: [1] });
    },
  });

const global = (className: string, name: string, axis: number[], does: string) =>
  layer(className, {
    does,
    config: { data_format: channelsLast(), keepdims: yes(false) },
    build: (call, { keepdims }) => call.call(name, [inputOf(call)], { axis, keepdims }),
  });

export const IMAGES = [
  layer("Conv2D", {
    does: "`conv2d` with `filters` kernels, a bias and an activation.",
    weights: ["kernel", "bias"],
    config: {
      filters: count(),
      kernel_size: pair(),
      strides: pair().default([1, 1]),
      padding: padding(),
      dilation_rate: apart(),
      activation: activation(),
      use_bias: yes(true),
      ...PLAIN,
    },
    build: (call, { filters, kernel_size, strides, padding, dilation_rate: dilations, ...rest }) => {
      const x = inputOf(call), kernel = call.weight("kernel", [...kernel_size, last(call.shape(x)), filters]);
      return finish(call, call.call("conv2d", [x, kernel], { strides, padding, dilations }), rest);
    },
  }),
  layer("Conv2DTranspose", {
    does: "`conv2d_transpose` with `filters` kernels, a bias and an activation.",
    weights: ["kernel", "bias"],
    config: {
      filters: count(),
      kernel_size: pair(),
      strides: pair().default([1, 1]),
      padding: padding(),
      output_padding: z.null().optional(),
      dilation_rate: z.union([z.literal(1), z.array(z.literal(1))]).default(1),
      activation: activation(),
      use_bias: yes(true),
      ...PLAIN,
    },
    build: (call, { filters, kernel_size, strides, padding, ...rest }) => {
      const x = inputOf(call), kernel = call.weight("kernel", [...kernel_size, filters, last(call.shape(x))]);
      return finish(call, call.call("conv2d_transpose", [x, kernel], { strides, padding }), rest);
    },
  }),
  layer("SeparableConv2D", {
    does: "`depthwise_conv2d`, then `conv2d` of single places, a bias and an activation.",
    weights: ["depthwise_kernel", "pointwise_kernel", "bias"],
    config: {
      filters: count(),
      ...DEPTHWISE,
    },
    build: (
      call,
      { filters, kernel_size, strides, padding, depth_multiplier, dilation_rate: dilations, ...rest },
    ) => {
      const x = inputOf(call), channels = last(call.shape(x));
      const kernel = call.weight("depthwise_kernel", [...kernel_size, channels, depth_multiplier]);
      const points = call.weight("pointwise_kernel", [1, 1, channels * depth_multiplier, filters]);
      const y = call.call("depthwise_conv2d", [x, kernel], { strides, padding, dilations });
      return finish(call, call.call("conv2d", [y, points]), rest);
    },
  }),
  layer("Conv1D", {
    does: "`conv1d` with `filters` kernels, a bias and an activation.",
    weights: ["kernel", "bias"],
    config: {
      filters: count(),
      kernel_size: single(),
      strides: single().default(1),
      padding: z.enum(["valid", "same", "causal"]).default("valid"),
      dilation_rate: single().default(1),
      activation: activation(),
      use_bias: yes(true),
      ...PLAIN,
    },
    build: (call, { filters, kernel_size, strides, padding, dilation_rate: dilation, ...rest }) => {
      const x = inputOf(call), kernel = call.weight("kernel", [kernel_size, last(call.shape(x)), filters]);
      if (padding !== "causal") {
        return finish(call, call.call("conv1d", [x, kernel], { stride: strides, padding, dilation }), rest);
      }
      if (call.shape(x).length !== 3) throw new MisfitError("the input must be [batch, steps, channels]");
      const late = call.call("pad", [x], { before: [0, (kernel_size - 1) * dilation, 0], after: [0, 0, 0] });
      return finish(call, call.call("conv1d", [late, kernel], { stride: strides, dilation }), rest);
    },
  }),
  layer("DepthwiseConv2D", {
    does: "`depthwise_conv2d`, a bias and an activation. Keras 3 calls its kernel `kernel`.",
    weights: ["depthwise_kernel", "bias"],
    config: {
      ...DEPTHWISE,
    },
    build: (call, { kernel_size, strides, padding, depth_multiplier, dilation_rate: dilations, ...rest }) => {
      const x = inputOf(call);
      const shape = [...kernel_size, last(call.shape(x)), depth_multiplier];
      const kernel = call.weight(
        call.generation === 3 ? "kernel" : "depthwise_kernel",
        shape,
        "depthwise_regularizer",
      );
      return finish(call, call.call("depthwise_conv2d", [x, kernel], { strides, padding, dilations }), rest);
    },
  }),
  pool2d("MaxPooling2D", "max_pool2d", "`max_pool2d`."),
  pool2d("AveragePooling2D", "average_pool2d", "`average_pool2d`."),
  pool1d("MaxPooling1D", "max_pool2d", "The largest in each window."),
  pool1d("AveragePooling1D", "average_pool2d", "The mean of each window."),
  global("GlobalMaxPooling2D", "max", [1, 2], "The largest of each channel."),
  global("GlobalAveragePooling2D", "mean", [1, 2], "The mean of each channel."),
  global("GlobalMaxPooling1D", "max", [1], "The largest of each channel."),
  global("GlobalAveragePooling1D", "mean", [1], "The mean of each channel."),
];
