/** Layers that center and scale. */
import { z } from "zod";
import { float32, positive } from "../../float32.ts";
import { elementCount } from "../../tensor.ts";
import { axisOf, MisfitError } from "../functions/define.ts";
import { inputOf, last, layer, type LayerCall, only, unit, yes } from "./layer.ts";

/** Keras writes one axis as a number or as a list of one. */
const axis = () => z.union([z.int(), z.array(z.int()).length(1).transform(([n]) => n as number)]).default(-1);

function checkLast(call: LayerCall, axis: number): void {
  const { length } = call.shape(inputOf(call));
  if (axisOf(axis, length) !== length - 1) throw new MisfitError(`axis is ${axis}, must be the last`);
}

interface Moments {
  readonly mean: number;
  readonly variance: number;
  readonly epsilon: number;
  readonly scale: boolean;
  readonly center: boolean;
}

/** `(x - mean) / sqrt(variance + epsilon) * gamma + beta`. */
function normalize(call: LayerCall, { mean, variance, epsilon, scale, center }: Moments): number {
  const x = inputOf(call), shape = [last(call.shape(x))];
  const root = call.call("rsqrt", [call.call("add", [variance, call.constant(epsilon)])]);
  const normal = call.call("multiply", [call.call("subtract", [x, mean]), root]);
  const scaled = scale ? call.call("multiply", [normal, call.weight("gamma", shape)]) : normal;
  return center ? call.call("add", [scaled, call.weight("beta", shape)]) : scaled;
}

export const NORMALIZATIONS = [
  layer("BatchNormalization", {
    does:
      "Centers and scales each channel: while training by the batch, whose mean and variance then move the averages " +
      "(variables of role `average`); else by the averages.",
    weights: ["gamma", "beta", "moving_mean", "moving_variance"],
    config: {
      axis: axis(),
      momentum: unit(0.99),
      epsilon: positive().default(1e-3),
      center: yes(true),
      scale: yes(true),
      // Only Keras 3 writes this key.
      synchronized: z.literal(false).optional(),
      renorm: only(false),
      renorm_clipping: z.null().optional(),
      renorm_momentum: float32().optional(),
    },
    build: (call, { axis, momentum, synchronized, ...options }) => {
      checkLast(call, axis);
      const x = inputOf(call), shape = [last(call.shape(x))];
      if (!call.training) {
        const mean = call.average("moving_mean", shape), variance = call.average("moving_variance", shape);
        return normalize(call, { ...options, mean, variance });
      }
      const others = { axis: call.shape(x).slice(0, -1).map((_, at) => at) };
      const mean = call.call("mean", [x], others), variance = call.call("variance", [x], others);
      // Keras 2's kernel for images updates the averages with the unbiased variance.
      const unbiased = () => {
        const count = elementCount(call.shape(x).slice(0, -1));
        return call.call("multiply", [variance, call.constant(count / Math.max(1, count - 1))]);
      };
      const isImages = call.shape(x).length === 4 && synchronized === undefined;
      const toward = (batch: number) => (now: number) => {
        const distance = call.call("subtract", [call.call("stop_gradient", [batch]), now]);
        return call.call("add", [now, call.call("multiply", [distance, call.constant(1 - momentum)])]);
      };
      call.average("moving_mean", shape, toward(mean));
      call.average("moving_variance", shape, toward(isImages ? unbiased() : variance));
      return normalize(call, { ...options, mean, variance });
    },
  }),
  layer("LayerNormalization", {
    does: "Centers and scales each example over its last dimension.",
    weights: ["gamma", "beta"],
    config: {
      axis: axis(),
      epsilon: positive().default(1e-3),
      center: yes(true),
      scale: yes(true),
      rms_scaling: only(false),
    },
    build: (call, { axis, ...options }) => {
      checkLast(call, axis);
      const x = inputOf(call), own = { axis: -1, keepdims: true };
      return normalize(call, {
        ...options,
        mean: call.call("mean", [x], own),
        variance: call.call("variance", [x], own),
      });
    },
  }),
];
