/** Padding, cropping and upsampling layers for images [batch, height, width, channels] and sequences. */
import { z } from "zod";
import { MisfitError } from "../functions/define.ts";
import { channelsLast, count, inputOf, layer, type LayerCall, only, pair, single } from "./layer.ts";

/** Amounts before and after each dimension. Keras writes one number, one per dimension, or two per dimension. */
const sides = (initial: number) =>
  z.union([
    z.int().min(0).transform((n) => [[n, n], [n, n]]),
    z.array(z.int().min(0)).length(2).transform((sides) => sides.map((n) => [n, n])),
    z.array(z.array(z.int().min(0)).length(2)).length(2),
  ]).default([[initial, initial], [initial, initial]]);
const ends = (initial: number) =>
  z.union([
    z.int().min(0).transform((n) => [n, n]),
    z.array(z.int().min(0)).length(2),
  ]).default([initial, initial]);

function checkRank(call: LayerCall, rank: number): void {
  const { length } = call.shape(inputOf(call));
  if (length !== rank) throw new MisfitError(`the input has ${length} dimensions, must have ${rank}`);
}

function pad(call: LayerCall, lines: readonly (readonly number[])[]): number {
  checkRank(call, lines.length + 2);
  const side = (at: 0 | 1) => [0, ...lines.map((line) => line[at] as number), 0];
  return call.call("pad", [inputOf(call)], { before: side(0), after: side(1) });
}

function crop(call: LayerCall, lines: readonly (readonly number[])[]): number {
  checkRank(call, lines.length + 2);
  const begin = [0, ...lines.map(([before]) => before as number), 0];
  const size = call.shape(inputOf(call)).map((n, at) =>
    n - (lines[at - 1] ?? []).reduce((sum, cut) => sum + cut, 0)
  );
  if (size.some((n) => n < 1)) throw new MisfitError("nothing is left of the input");
  return call.call("slice", [inputOf(call)], { begin, size });
}

/** Repeats each element along the dimensions after the batch. */
function repeat(call: LayerCall, times: readonly number[]): number {
  checkRank(call, times.length + 2);
  let y = inputOf(call);
  times.forEach((count, index) => {
    const shape = call.shape(y), at = index + 1;
    const apart = call.call("reshape", [y], {
      shape: [...shape.slice(0, at), shape[at] as number, 1, ...shape.slice(at + 1)],
    });
    const reps = call.shape(apart).map((_, other) => other === at + 1 ? count : 1);
    const longer = shape.map((n, other) => other === at ? n * count : n);
    y = call.call("reshape", [call.call("tile", [apart], { reps })], { shape: longer });
  });
  return y;
}

export const RESIZING = [
  layer("ZeroPadding2D", {
    does: "Zeros around images.",
    config: { padding: sides(1), data_format: channelsLast() },
    build: (call, { padding }) => pad(call, padding),
  }),
  layer("ZeroPadding1D", {
    does: "Zeros before and after sequences.",
    config: { padding: ends(1), data_format: channelsLast() },
    build: (call, { padding }) => pad(call, [padding]),
  }),
  layer("Cropping2D", {
    does: "Images without their margins.",
    config: { cropping: sides(0), data_format: channelsLast() },
    build: (call, { cropping }) => crop(call, cropping),
  }),
  layer("Cropping1D", {
    does: "Sequences without their ends.",
    config: { cropping: ends(1) },
    build: (call, { cropping }) => crop(call, [cropping]),
  }),
  layer("UpSampling2D", {
    does: "Each row and column `size` times.",
    config: { size: pair().default([2, 2]), interpolation: only("nearest"), data_format: channelsLast() },
    build: (call, { size }) => repeat(call, size),
  }),
  layer("UpSampling1D", {
    does: "Each step `size` times.",
    config: { size: z.union([single(), count()]).default(2) },
    build: (call, { size }) => repeat(call, [size]),
  }),
];
