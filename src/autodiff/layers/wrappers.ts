/** Layers that call others. */
import { z } from "zod";
import { MisfitError } from "../functions/define.ts";
import { inputOf, layer, type LayerCall } from "./layer.ts";

const Wrapped = z.looseObject({
  class_name: z.string(),
  config: z.looseObject({ name: z.string().optional(), go_backwards: z.boolean().default(false) }),
});

const MERGED: Readonly<Record<string, (call: LayerCall, a: number, b: number) => number>> = {
  concat: (call, a, b) => call.call("concat", [a, b], { axis: -1 }),
  sum: (call, a, b) => call.call("add", [a, b]),
  mul: (call, a, b) => call.call("multiply", [a, b]),
  ave: (call, a, b) => call.call("multiply", [call.call("add", [a, b]), call.constant(0.5)]),
};

export const WRAPPERS = [
  layer("TimeDistributed", {
    does: "The `layer` on each step; its weights are named as if they were this layer's.",
    config: { layer: z.looseObject({}) },
    build: (call, config) => {
      const x = inputOf(call), [batch, steps, ...rest] = call.shape(x);
      if (batch === undefined || steps === undefined || rest.length === 0) {
        throw new MisfitError("the input must be [batch, steps, …]");
      }
      const flat = call.call("reshape", [x], { shape: [batch * steps, ...rest] });
      const y = call.wrapped(config.layer, call.name, [flat]);
      return call.call("reshape", [y], { shape: [batch, steps, ...call.shape(y).slice(1)] });
    },
  }),
  layer("Bidirectional", {
    does:
      "A recurrent `layer` forth, and one like it, or the `backward_layer`, back. Of an LSTM `lstm` the weights are named " +
      "`LAYER/forward_lstm/kernel`, `LAYER/backward_lstm/kernel` and so on.",
    config: {
      layer: Wrapped,
      backward_layer: z.union([Wrapped, z.null()]).default(null),
      merge_mode: z.enum(["concat", "sum", "mul", "ave"]).default("concat"),
    },
    build: (call, { layer, backward_layer, merge_mode }) => {
      const mirrored = { ...layer, config: { ...layer.config, go_backwards: !layer.config.go_backwards } };
      // Keras 3 has already added the prefix.
      const word = (layer.config.name ?? "").replace(/^forward_/, "");
      const [forth, back] = [[layer, "forward"], [backward_layer ?? mirrored, "backward"]] as const;
      const [a, b] = [forth, back].map(([each, way]) =>
        call.wrapped(each, `${call.name}/${way}_${word}`, call.inputs)
      );
      const isSequence = call.shape(b as number).length === 3;
      const turned = isSequence ? call.call("reverse", [b as number], { axis: 1 }) : b as number;
      const merge = MERGED[merge_mode] as typeof MERGED[string];
      return merge(call, a as number, turned);
    },
  }),
];
