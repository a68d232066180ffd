/**
 * Layers that are random while training and otherwise do nothing. Their random numbers depend on the run's iteration,
 * the layer's name and its seed: they are not Keras' numbers, but the same for the same request.
 */
import { z } from "zod";
import { float32 } from "../../float32.ts";
import type { Shape } from "../../tensor.ts";
import { MisfitError } from "../functions/define.ts";
import { inputOf, layer, type LayerCall, unit } from "./layer.ts";

const SEED = { seed: z.union([z.int(), z.null()]).default(null) };

/** The input times factors of shape `shape`: 0 with probability `rate`, otherwise 1 / (1 - rate). */
function dropping(
  call: LayerCall,
  { rate, seed }: { rate: number; seed: number | null },
  shape: (x: Shape) => Shape,
) {
  const x = inputOf(call);
  if (!call.training || rate === 0) return x;
  if (rate === 1) throw new MisfitError("rate is 1, must be below");
  const noise = call.noise(shape(call.shape(x)), seed ?? 0);
  const kept = call.call("greater_equal", [noise, call.constant(rate)]);
  return call.call("multiply", [x, call.call("multiply", [kept, call.constant(1 / (1 - rate))])]);
}

/** Normally distributed (Box and Muller, 1958). */
function normal(call: LayerCall, deviation: number, seed: number): number {
  const shape = call.shape(inputOf(call));
  // Above 0, because 0 has no logarithm.
  const share = call.call("subtract", [call.constant(1), call.noise(shape, seed)]);
  const radius = call.call("sqrt", [
    call.call("multiply", [call.constant(-2 * deviation ** 2), call.call("log", [share])]),
  ]);
  const angle = call.call("multiply", [call.constant(2 * Math.PI), call.noise(shape, seed + 1)]);
  return call.call("multiply", [radius, call.call("cos", [angle])]);
}

const spatial = (className: string, rank: number) =>
  layer(className, {
    does: "As Dropout, but of whole channels.",
    config: {
      rate: unit(0),
      ...SEED,
      data_format: z.union([z.literal("channels_last"), z.null()]).default("channels_last"),
    },
    build: (call, config) =>
      dropping(call, config, (shape) => {
        if (shape.length !== rank) {
          throw new MisfitError(`the input has ${shape.length} dimensions, must have ${rank}`);
        }
        return shape.map((n, at) => at === 0 || at === rank - 1 ? n : 1);
      }),
  });

export const NOISE = [
  layer("Dropout", {
    does: "While training, each number is 0 with probability `rate`, the others are scaled up; else nothing.",
    config: { rate: unit(0), ...SEED },
    build: (call, config) => dropping(call, config, (shape) => shape),
  }),
  spatial("SpatialDropout1D", 3),
  spatial("SpatialDropout2D", 4),
  layer("GaussianNoise", {
    does: "While training, plus normally distributed numbers.",
    config: { stddev: float32({ minimum: 0 }), ...SEED },
    build: (call, { stddev, seed }) =>
      call.training && stddev > 0
        ? call.call("add", [inputOf(call), normal(call, stddev, seed ?? 0)])
        : inputOf(call),
  }),
  layer("GaussianDropout", {
    does:
      "While training, times normally distributed numbers around 1, with the variance `rate / (1 - rate)`.",
    config: { rate: unit(0), ...SEED },
    build: (call, { rate, seed }) => {
      if (!call.training || rate === 0) return inputOf(call);
      if (rate === 1) throw new MisfitError("rate is 1, must be below");
      const factor = call.call("add", [
        call.constant(1),
        normal(call, Math.sqrt(rate / (1 - rate)), seed ?? 0),
      ]);
      return call.call("multiply", [inputOf(call), factor]);
    },
  }),
];
