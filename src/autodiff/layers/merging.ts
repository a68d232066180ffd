/** Layers with several inputs. */
import { z } from "zod";
import { layer, type LayerCall } from "./layer.ts";

const merging = (className: string, does: string, build: (call: LayerCall) => number) =>
  layer(className, { does, several: true, config: {}, build });

const folded = (name: string) => (call: LayerCall) => call.inputs.reduce((a, b) => call.call(name, [a, b]));

export const MERGING = [
  merging("Add", "The sum.", folded("add")),
  merging("Subtract", "The first minus the second.", folded("subtract")),
  merging("Multiply", "The product, element by element.", folded("multiply")),
  merging("Maximum", "The largest.", folded("maximum")),
  merging("Minimum", "The smallest.", folded("minimum")),
  merging(
    "Average",
    "The mean.",
    (call) => call.call("multiply", [folded("add")(call), call.constant(1 / call.inputs.length)]),
  ),
  layer("Concatenate", {
    does: "One after the other.",
    several: true,
    config: { axis: z.int().default(-1) },
    build: (call, { axis }) => call.call("concat", call.inputs, { axis }),
  }),
];
