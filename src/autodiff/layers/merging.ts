/** Layers with several inputs. */
import { z } from "zod";
import { axisOf, MisfitError } from "../functions/define.ts";
import { layer, type LayerCall, yes } from "./layer.ts";
import { BETWEEN } from "./operations.ts";

const merging = (className: string, does: string, build: (call: LayerCall) => number) =>
  layer(className, { does, several: true, config: {}, build });

/** Reshapes to [batch, other dimensions, the axis]. */
function asRows(
  call: LayerCall,
  x: number,
  { axis, normalize }: { axis: number; normalize: boolean },
): number {
  const shape = call.shape(x), rank = shape.length, at = axisOf(axis, rank);
  if (rank < 2 || rank > 3 || at === 0) {
    throw new MisfitError(`axis ${axis} is none of 2 or 3 dimensions after the batch`);
  }
  const rows = rank === 2
    ? call.call("expand_dims", [x], { axis: 1 })
    : at === 1
    ? call.call("transpose", [x], { perm: [0, 2, 1] })
    : x;
  if (!normalize) return rows;
  const squares = call.call("sum", [call.call("square", [rows])], { axis: -1, keepdims: true });
  const length = call.call("sqrt", [call.call("maximum", [squares, call.constant(1e-12)])]);
  return call.call("divide", [rows, length]);
}

const folded = (name: string) => (call: LayerCall) => call.inputs.reduce((a, b) => call.call(name, [a, b]));

const ELEMENTWISE = [
  merging("Add", "The sum.", folded("add")),
  merging("Subtract", "The first minus the second.", folded("subtract")),
  merging("Multiply", "The product, element by element.", folded("multiply")),
  merging("Maximum", "The largest.", folded("maximum")),
  merging("Minimum", "The smallest.", folded("minimum")),
];

/** The layers that may be called with a number beside a tensor, as operations of Keras 3 are. */
export const WITH_NUMBERS: ReadonlySet<string> = new Set(
  [...ELEMENTWISE, ...BETWEEN].map(({ className }) => className),
);

export const MERGING = [
  ...ELEMENTWISE,
  merging(
    "Average",
    "The mean.",
    (call) => call.call("multiply", [folded("add")(call), call.constant(1 / call.inputs.length)]),
  ),
  layer("Dot", {
    does: "The sum of products along `axes`, one of each input; with `normalize` of vectors of length 1.",
    several: true,
    config: {
      axes: z.union([z.int().transform((n) => [n, n]), z.array(z.int()).length(2)]),
      normalize: yes(false),
    },
    build: (call, { axes, normalize }) => {
      if (call.inputs.length !== 2) {
        throw new MisfitError(`it has ${call.inputs.length} inputs, must have two`);
      }
      const matrices = call.inputs.map((x, at) => asRows(call, x, { axis: axes[at] as number, normalize }));
      const product = call.call("matmul", [
        matrices[0] as number,
        call.call("transpose", [matrices[1] as number], { perm: [0, 2, 1] }),
      ]);
      const [batch = 1, rows = 1, columns = 1] = call.shape(product);
      const ranks = call.inputs.map((x) => call.shape(x).length);
      const shape = [batch, ...ranks[0] === 3 ? [rows] : [], ...ranks[1] === 3 ? [columns] : []];
      return call.call("reshape", [product], { shape: shape.length === 1 ? [batch, 1] : shape });
    },
  }),
  layer("Concatenate", {
    does: "One after the other.",
    several: true,
    config: { axis: z.int().default(-1) },
    build: (call, { axis }) => call.call("concat", call.inputs, { axis }),
  }),
];
