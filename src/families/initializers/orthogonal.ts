/**
 * A matrix with orthonormal rows or columns, whichever are fewer, times gain. All axes before the last count as one.
 *
 * Source: Saxe, McClelland, Ganguli 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear
 * neural networks".
 * Variant: Gram-Schmidt on normally distributed vectors, applied twice, in float64. It is done here because the QR of
 * tfjs takes half a minute for 256 × 256. It runs in slices, one matrix at a time, because each takes 8 bytes per
 * element while it is made.
 */
import { nextTurn, Slices } from "../../slices.ts";
import { elementCount, type Shape, showShape } from "../../tensor.ts";
import { invalidConfig } from "../mechanism/family.ts";
import { number } from "../mechanism/fields.ts";
import { initializer, seed } from "./initializer.ts";
import { draw } from "./sampler.ts";

const CLASS_NAME = "Orthogonal";
/** 128 MiB in float64. */
const ELEMENTS_MAX = 16 * 1024 ** 2;

/** Resolves when the matrix before has been made. */
let before: Promise<unknown> = Promise.resolve();

export const orthogonal = initializer({
  class_name: CLASS_NAME,
  aliases: [],
  summary: "Orthonormal rows or columns.",
  fields: { gain: number(1, "The length of each."), seed: seed() },
  work: (shape) => {
    const { count, length } = vectorsOf(shape);
    return 2 * count * count * length;
  },
  async initialize({ gain, seed }, { shape, drawSeed, path }) {
    const { rows, columns, length } = vectorsOf(shape);
    const elements = rows * columns;
    const message = shape.length < 2
      ? `cannot fill the shape ${showShape(shape)}, must have two axes or more`
      : elements > ELEMENTS_MAX
      ? `cannot fill the shape ${showShape(shape)} of ${elements} elements, must be at most ${ELEMENTS_MAX}`
      : undefined;
    if (message !== undefined) throw invalidConfig(CLASS_NAME, [{ path: "", message }], path);
    const drawn = new Float32Array(elements);
    draw({ distribution: "normal", from: 0, to: 1, seed: seed ?? drawSeed() })(drawn, 0);
    const made = before.then(() => orthonormalize(drawn, length));
    before = made.catch(() => {});
    const vectors = await made;
    return (part, first) => {
      for (let at = 0; at < part.length; at++) {
        const row = Math.floor((first + at) / columns);
        const column = (first + at) % columns;
        part[at] = gain * ((rows < columns ? vectors[row]?.[column] : vectors[column]?.[row]) as number);
      }
    };
  },
});

/** The matrix, and the vectors that are made orthogonal: its rows or columns, whichever are fewer. */
function vectorsOf(shape: Shape) {
  const elements = elementCount(shape);
  const columns = shape.at(-1) ?? 0;
  const rows = elements === 0 ? 0 : elements / columns;
  return { rows, columns, count: Math.min(rows, columns), length: Math.max(rows, columns) };
}

/** Cuts `values` into vectors of `length` elements. Makes each orthogonal to those before it, and of norm 1. */
async function orthonormalize(values: Float32Array, length: number): Promise<Float64Array[]> {
  const vectors: Float64Array[] = [];
  const slices = new Slices();
  for (let from = 0; from < values.length; from += length) {
    const vector = Float64Array.from(values.subarray(from, from + length));
    // One pass leaves an error that grows with the number of vectors; two are enough (Kahan, Parlett).
    for (const other of [...vectors, ...vectors]) {
      add(vector, other, -dot(vector, other));
      if (slices.isOver(4 * length)) await nextTurn();
    }
    const norm = Math.sqrt(dot(vector, vector));
    vectors.push(vector.map((element) => element / norm));
    if (slices.isOver(8 * length)) await nextTurn();
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
