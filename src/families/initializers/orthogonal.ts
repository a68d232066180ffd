/**
 * A matrix with orthonormal rows or columns, whichever are fewer, times gain. All axes before the last count as one.
 *
 * Source: Saxe, McClelland, Ganguli 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear
 * neural networks".
 * Variant: Gram-Schmidt on normally distributed vectors, applied twice, in float64. It is done here because the QR of
 * tfjs takes half a minute for 256 × 256.
 */
import { elementCount, showShape } from "../../tensor.ts";
import { invalidConfig } from "../mechanism/family.ts";
import { number } from "../mechanism/fields.ts";
import { initializer, seed, type Values } from "./initializer.ts";
import { draw } from "./sampler.ts";

const CLASS_NAME = "Orthogonal";

export const orthogonal = initializer({
  class_name: CLASS_NAME,
  aliases: [],
  summary: "Orthonormal rows or columns.",
  fields: { gain: number(1, "The length of each."), seed: seed() },
  async initialize({ gain, seed }, { shape, drawSeed, path }) {
    if (shape.length < 2) {
      const message = `cannot fill the shape ${showShape(shape)}, must have two axes or more`;
      throw invalidConfig(CLASS_NAME, [{ path: "", message }], path);
    }
    const count = elementCount(shape);
    const columns = shape.at(-1) as number;
    const rows = count === 0 ? 0 : count / columns;
    const drawn = await draw({ distribution: "normal", from: 0, to: 1, count, seed: seed ?? drawSeed() });
    const vectors = orthonormalize(drawn, Math.max(rows, columns));
    const values: Values = new Float32Array(count);
    for (let place = 0; place < count; place++) {
      const row = Math.floor(place / columns);
      const column = place % columns;
      values[place] = gain * ((rows < columns ? vectors[row]?.[column] : vectors[column]?.[row]) as number);
    }
    return values;
  },
});

/** Cuts `values` into vectors of `length` elements. Makes each orthogonal to those before it, and of norm 1. */
function orthonormalize(values: Values, length: number): Float64Array[] {
  const vectors: Float64Array[] = [];
  for (let from = 0; from < values.length; from += length) {
    const vector = Float64Array.from(values.subarray(from, from + length));
    // One pass leaves an error that grows with the number of vectors; two are enough (Kahan, Parlett).
    for (const other of [...vectors, ...vectors]) add(vector, other, -dot(vector, other));
    const norm = Math.sqrt(dot(vector, vector));
    vectors.push(vector.map((element) => element / norm));
  }
  return vectors;
}

function dot(a: Float64Array, b: Float64Array): number {
  let total = 0;
  for (let at = 0; at < a.length; at++) total += (a[at] as number) * (b[at] as number);
  return total;
}

function add(to: Float64Array, other: Float64Array, factor: number): void {
  for (let at = 0; at < to.length; at++) to[at] = (to[at] as number) + factor * (other[at] as number);
}
