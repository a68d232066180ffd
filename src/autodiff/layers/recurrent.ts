/**
 * Recurrent layers over [batch, steps, features], unrolled because a graph has no loops. Gates are in Keras' order.
 */
import { z } from "zod";
import { MisfitError } from "../functions/define.ts";
import { activate, activation, count, inputOf, layer, type LayerCall, only, yes } from "./layer.ts";

const COMMON = {
  units: count(),
  use_bias: yes(true),
  return_sequences: yes(false),
  return_state: only(false),
  go_backwards: yes(false),
  stateful: only(false),
  unroll: yes(false),
  time_major: only(false),
  zero_output_for_mask: yes(false),
  dropout: only(0),
  recurrent_dropout: only(0),
  seed: z.union([z.int(), z.null()]).default(null),
};

interface Sequence {
  readonly units: number;
  readonly return_sequences: boolean;
  readonly go_backwards: boolean;
}

/** Calls `step` with the features of each step; it returns the output. */
function unrolled(
  call: LayerCall,
  { return_sequences, go_backwards }: Sequence,
  step: (x: number) => number,
): number {
  const x = inputOf(call), shape = call.shape(x);
  if (shape.length !== 3) throw new MisfitError("the input must be [batch, steps, features]");
  const [batch, steps, features] = shape as [number, number, number];
  if (steps === 0) throw new MisfitError("there are no steps");
  const order = Array.from({ length: steps }, (_, at) => go_backwards ? steps - 1 - at : at);
  const outputs = order.map((at) => {
    const one = call.call("slice", [x], { begin: [0, at, 0], size: [batch, 1, features] });
    return step(call.call("reshape", [one], { shape: [batch, features] }));
  });
  return return_sequences ? call.call("stack", outputs, { axis: 1 }) : outputs.at(-1) as number;
}

/** Splits the columns of one matrix into `count` gates. */
function gates(call: LayerCall, all: number, { count, units }: { count: number; units: number }): number[] {
  const batch = call.shape(all)[0] as number;
  return Array.from(
    { length: count },
    (_, at) => call.call("slice", [all], { begin: [0, at * units], size: [batch, units] }),
  );
}

/** Constant zeros of [batch, units]. */
function zeros(call: LayerCall, units: number): number {
  const batch = call.shape(inputOf(call))[0] as number;
  return call.call("tile", [call.call("reshape", [call.constant(0)], { shape: [1, 1] })], {
    reps: [batch, units],
  });
}

function weights(
  call: LayerCall,
  width: number,
  { units, bias }: { units: number; bias: readonly number[] | undefined },
) {
  const features = call.shape(inputOf(call)).at(-1) as number;
  return {
    kernel: call.weight("kernel", [features, width]),
    recurrent: call.weight("recurrent_kernel", [units, width]),
    bias: bias && call.weight("bias", bias),
  };
}

export const RECURRENT = [
  layer("SimpleRNN", {
    does: "`activation(x @ kernel + h @ recurrent_kernel + bias)` for each step.",
    weights: ["kernel", "recurrent_kernel", "bias"],
    config: { ...COMMON, activation: activation("tanh") },
    build: (call, config) => {
      const { units, use_bias, activation } = config;
      const { kernel, recurrent, bias } = weights(call, units, {
        units,
        bias: use_bias ? [units] : undefined,
      });
      let h: number | undefined;
      return unrolled(call, config, (x) => {
        let sum = call.call("matmul", [x, kernel]);
        if (bias !== undefined) sum = call.call("add", [sum, bias]);
        h ??= zeros(call, units);
        return h = activate(call, call.call("add", [sum, call.call("matmul", [h, recurrent])]), activation);
      });
    },
  }),
  layer("LSTM", {
    does: "Long short-term memory; the gates are input, forget, cell, output.",
    weights: ["kernel", "recurrent_kernel", "bias"],
    config: {
      ...COMMON,
      activation: activation("tanh"),
      recurrent_activation: activation("sigmoid"),
      unit_forget_bias: yes(true),
      implementation: z.int().default(2),
    },
    build: (call, config) => {
      const { units, use_bias, activation, recurrent_activation } = config;
      const { kernel, recurrent, bias } = weights(call, 4 * units, {
        units,
        bias: use_bias ? [4 * units] : undefined,
      });
      let h = zeros(call, units), c = h;
      const gate = (x: number) => activate(call, x, recurrent_activation);
      return unrolled(call, config, (x) => {
        let all = call.call("add", [call.call("matmul", [x, kernel]), call.call("matmul", [h, recurrent])]);
        if (bias !== undefined) all = call.call("add", [all, bias]);
        const [i, f, cell, o] = gates(call, all, { count: 4, units }) as [number, number, number, number];
        const added = call.call("multiply", [gate(i), activate(call, cell, activation)]);
        c = call.call("add", [call.call("multiply", [gate(f), c]), added]);
        return h = call.call("multiply", [gate(o), activate(call, c, activation)]);
      });
    },
  }),
  layer("GRU", {
    does:
      "Gated recurrent unit; the gates are update, reset, candidate. With `reset_after` the bias is two rows.",
    weights: ["kernel", "recurrent_kernel", "bias"],
    config: {
      ...COMMON,
      activation: activation("tanh"),
      recurrent_activation: activation("sigmoid"),
      reset_after: yes(true),
      implementation: z.int().default(2),
    },
    build: (call, config) => {
      const { units, use_bias, activation, recurrent_activation, reset_after } = config;
      const width = 3 * units;
      const { kernel, recurrent, bias } = weights(call, width, {
        units,
        bias: use_bias ? reset_after ? [2, width] : [width] : undefined,
      });
      const gate = (a: number, b: number) => activate(call, call.call("add", [a, b]), recurrent_activation);
      const mix = (z: number, h: number, candidate: number) =>
        call.call("add", [
          call.call("multiply", [z, h]),
          call.call("multiply", [call.call("subtract", [call.constant(1), z]), candidate]),
        ]);
      if (!reset_after) {
        const columns = (matrix: number, from: number, count: number) =>
          call.call("slice", [matrix], { begin: [0, from * units], size: [units, count * units] });
        const both = columns(recurrent, 0, 2), last = columns(recurrent, 2, 1);
        let h = zeros(call, units);
        return unrolled(call, config, (x) => {
          const product = call.call("matmul", [x, kernel]);
          const all = bias === undefined ? product : call.call("add", [product, bias]);
          const [xz, xr, xh] = gates(call, all, { count: 3, units }) as [number, number, number];
          const [hz, hr] = gates(call, call.call("matmul", [h, both]), { count: 2, units }) as [
            number,
            number,
          ];
          const z = gate(xz, hz), reset = call.call("multiply", [gate(xr, hr), h]);
          const candidate = activate(
            call,
            call.call("add", [xh, call.call("matmul", [reset, last])]),
            activation,
          );
          return h = mix(z, h, candidate);
        });
      }
      const biasOf = (row: number) =>
        bias === undefined ? undefined : call.call("reshape", [
          call.call("slice", [bias], { begin: [row, 0], size: [1, width] }),
        ], { shape: [width] });
      const biases = [biasOf(0), biasOf(1)];
      const part = (x: number, matrix: number, row: 0 | 1) => {
        const product = call.call("matmul", [x, matrix]), bias = biases[row];
        const sum = bias === undefined ? product : call.call("add", [product, bias]);
        return gates(call, sum, { count: 3, units }) as [number, number, number];
      };
      let h = zeros(call, units);
      return unrolled(call, config, (x) => {
        const [xz, xr, xh] = part(x, kernel, 0), [hz, hr, hh] = part(h, recurrent, 1);
        const z = gate(xz, hz), r = gate(xr, hr);
        const candidate = activate(call, call.call("add", [xh, call.call("multiply", [r, hh])]), activation);
        return h = mix(z, h, candidate);
      });
    },
  }),
];
