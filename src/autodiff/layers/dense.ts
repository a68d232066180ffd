/** Layers for matrix products, look-ups, activations and shapes. */
import { z } from "zod";
import { float32, positive } from "../../float32.ts";
import { elementCount } from "../../tensor.ts";
import { activate, activation, count, inputOf, last, layer, only, yes } from "./layer.ts";

export const DENSE = [
  layer("Dense", {
    does: "`activation(x @ kernel + bias)`.",
    weights: ["kernel", "bias"],
    config: { units: count(), activation: activation(), use_bias: yes(true) },
    build: (call, { units, activation, use_bias }) => {
      const x = inputOf(call);
      const product = call.call("matmul", [x, call.weight("kernel", [last(call.shape(x)), units])]);
      return activate(
        call,
        use_bias ? call.call("add", [product, call.weight("bias", [units])]) : product,
        activation,
      );
    },
  }),
  layer("Embedding", {
    does: "Rows of its table; their gradient is sparse.",
    weights: ["embeddings"],
    config: { input_dim: count(), output_dim: count(), mask_zero: only(false) },
    build: (call, { input_dim, output_dim }) =>
      call.call("gather", [call.weight("embeddings", [input_dim, output_dim]), inputOf(call)]),
  }),
  layer("Activation", {
    does: "An activation by its name.",
    config: { activation: activation() },
    build: (call, { activation }) => activate(call, inputOf(call), activation),
  }),
  layer("ReLU", {
    does: "`relu`, at most `max_value`.",
    config: {
      max_value: z.union([positive(), z.null()]).default(null),
      negative_slope: float32({ minimum: 0 }).default(0),
      threshold: only(0),
    },
    build: (call, { max_value, negative_slope }) => {
      const x = inputOf(call);
      const y = negative_slope === 0
        ? call.call("relu", [x])
        : call.call("leaky_relu", [x], { alpha: negative_slope });
      return max_value === null ? y : call.call("minimum", [y, call.constant(max_value)]);
    },
  }),
  layer("LeakyReLU", {
    does: "`leaky_relu` with `alpha` (in Keras 3 `negative_slope`).",
    config: { alpha: float32({ minimum: 0 }).optional(), negative_slope: float32({ minimum: 0 }).optional() },
    build: (call, { alpha, negative_slope }) =>
      call.call("leaky_relu", [inputOf(call)], { alpha: alpha ?? negative_slope ?? 0.3 }),
  }),
  layer("ELU", {
    does: "`elu`.",
    config: { alpha: float32().default(1) },
    build: (call, { alpha }) => call.call("elu", [inputOf(call)], { alpha }),
  }),
  layer("Softmax", {
    does: "`softmax` over the last dimension.",
    config: { axis: only(-1) },
    build: (call) => call.call("softmax", [inputOf(call)]),
  }),
  layer("Flatten", {
    does: "All dimensions but the batch's as one.",
    config: { data_format: z.union([z.literal("channels_last"), z.null()]).default("channels_last") },
    build: (call) => {
      const x = inputOf(call), [batch = 1, ...rest] = call.shape(x);
      return call.call("reshape", [x], { shape: [batch, elementCount(rest)] });
    },
  }),
  layer("Reshape", {
    does: "Another shape, but for the batch.",
    config: { target_shape: z.array(z.int().min(-1)).max(6) },
    build: (call, { target_shape }) => {
      const x = inputOf(call);
      return call.call("reshape", [x], { shape: [call.shape(x)[0] ?? 1, ...target_shape] });
    },
  }),
  layer("Permute", {
    does: "Dimensions in another order; the first after the batch is 1.",
    config: { dims: z.array(z.int().min(1)).max(6) },
    build: (call, { dims }) => call.call("transpose", [inputOf(call)], { perm: [0, ...dims] }),
  }),
  layer("RepeatVector", {
    does: "The same vector `n` times.",
    config: { n: count() },
    build: (call, { n }) =>
      call.call("tile", [call.call("expand_dims", [inputOf(call)], { axis: 1 })], { reps: [1, n, 1] }),
  }),
  layer("PReLU", {
    does:
      "`x`, but `alpha * x` where that is negative; each place has its own `alpha`, but along `shared_axes`.",
    weights: ["alpha"],
    config: {
      shared_axes: z.union([z.array(z.int().min(1)), z.int().min(1).transform((n) => [n]), z.null()]).default(
        null,
      ),
    },
    build: (call, { shared_axes }) => {
      const x = inputOf(call),
        shape = call.shape(x).slice(1).map((n, at) => shared_axes?.includes(at + 1) ? 1 : n);
      const negative = call.call("minimum", [x, call.constant(0)]);
      return call.call("add", [
        call.call("relu", [x]),
        call.call("multiply", [call.weight("alpha", shape), negative]),
      ]);
    },
  }),
  layer("Rescaling", {
    does: "`x * scale + offset`.",
    config: { scale: float32(), offset: float32().default(0) },
    build: (call, { scale, offset }) => {
      const y = call.call("multiply", [inputOf(call), call.constant(scale)]);
      return offset === 0 ? y : call.call("add", [y, call.constant(offset)]);
    },
  }),
];
