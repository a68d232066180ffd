/** Layers of convolutions and pools, over [batch, height, width, channels] and [batch, steps, channels]. */
import { z } from "zod";
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
const ONE_APART = z.union([z.literal(1), z.array(z.literal(1))]).default(1);

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

/** Of one dimension: as an image of one row. */
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
      dilation_rate: ONE_APART,
      activation: activation(),
      use_bias: yes(true),
      ...PLAIN,
    },
    build: (call, { filters, kernel_size, strides, padding, ...rest }) => {
      const x = inputOf(call), kernel = call.weight("kernel", [...kernel_size, last(call.shape(x)), filters]);
      return finish(call, call.call("conv2d", [x, kernel], { strides, padding }), rest);
    },
  }),
  layer("Conv1D", {
    does: "`conv1d` with `filters` kernels, a bias and an activation.",
    weights: ["kernel", "bias"],
    config: {
      filters: count(),
      kernel_size: single(),
      strides: single().default(1),
      padding: padding(),
      dilation_rate: ONE_APART,
      activation: activation(),
      use_bias: yes(true),
      ...PLAIN,
    },
    build: (call, { filters, kernel_size, strides, padding, ...rest }) => {
      const x = inputOf(call), kernel = call.weight("kernel", [kernel_size, last(call.shape(x)), filters]);
      return finish(call, call.call("conv1d", [x, kernel], { stride: strides, padding }), rest);
    },
  }),
  layer("DepthwiseConv2D", {
    does: "`depthwise_conv2d`, a bias and an activation.",
    weights: ["depthwise_kernel", "bias"],
    config: {
      kernel_size: pair(),
      strides: pair().default([1, 1]),
      padding: padding(),
      depth_multiplier: count().default(1),
      dilation_rate: ONE_APART,
      activation: activation(),
      use_bias: yes(true),
      ...PLAIN,
    },
    build: (call, { kernel_size, strides, padding, depth_multiplier, ...rest }) => {
      const x = inputOf(call);
      const kernel = call.weight("depthwise_kernel", [...kernel_size, last(call.shape(x)), depth_multiplier]);
      return finish(call, call.call("depthwise_conv2d", [x, kernel], { strides, padding }), rest);
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
  layer("ZeroPadding2D", {
    does: "Zeros around images.",
    config: {
      padding: z.union([
        z.int().min(0).transform((n) => [[n, n], [n, n]]),
        z.array(z.int().min(0)).length(2).transform((sides) => sides.map((n) => [n, n])),
        z.array(z.array(z.int().min(0)).length(2)).length(2),
      ]).default([[1, 1], [1, 1]]),
      data_format: channelsLast(),
    },
    build: (call, { padding }) => {
      const [[top, bottom], [left, right]] = padding as [[number, number], [number, number]];
      return call.call("pad", [inputOf(call)], { before: [0, top, left, 0], after: [0, bottom, right, 0] });
    },
  }),
];
