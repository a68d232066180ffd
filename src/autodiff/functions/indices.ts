/** Functions that take indices. Indices are checked, because tfjs would read past the end of a table. */
import { refusal } from "../../errors.ts";
import { elementCount, type Shape } from "../../tensor.ts";
import { axisOf, define, integer, MisfitError, type Tensor, type Tf } from "./define.ts";

/** float32 represents all integers up to here. */
const INDEX_MAX = 2 ** 24;

/** The indices in a tensor. Throws index_out_of_range. */
export function checkedIndices(indices: Tensor, limit: number): Int32Array<ArrayBuffer> {
  const values = indices.dataSync();
  const result = new Int32Array(values.length);
  for (let at = 0; at < values.length; at++) {
    const index = values[at] as number;
    if (!(Number.isInteger(index) && index >= 0 && index < limit)) {
      const problem = `index ${at} is ${index}, must be an integer from 0 to ${limit - 1}`;
      throw refusal("index_out_of_range", "take the loss", { path: "loss", called: "" }, problem);
    }
    result[at] = index;
  }
  return result;
}

/** Replaces tfjs' gather, whose gradient compares each place with each index. */
function gathered(
  tf: Tf,
  x: Tensor,
  { places, at }: { places: Int32Array<ArrayBuffer>; at: number },
): Tensor {
  const { shape } = x, length = shape[at] as number, inner = elementCount(shape.slice(at + 1));
  const differentiable = tf.customGrad((x: unknown) => ({
    value: tf.gather(x as Tensor, tf.tensor1d(places, "int32"), at) as Tensor,
    gradFunc: (dy: Tensor) => {
      const taken = dy.dataSync(), sums = new Float32Array(elementCount(shape));
      for (let from = 0, outer = 0; from < taken.length; outer += length * inner) {
        for (const place of places) {
          const to = outer + place * inner;
          for (let i = 0; i < inner; i++) sums[to + i] = (sums[to + i] as number) + (taken[from++] as number);
        }
      }
      return tf.tensor(sums, shape) as Tensor;
    },
  }));
  return differentiable(x);
}

export const INDICES = [
  define("gather", {
    tensors: ["x", "indices"],
    options: { axis: integer(0) },
    does:
      "The places of `x` along an axis that the indices name, as an embedding looks up its rows. Of a variable's rows " +
      "(axis 0) the gradient is sparse.",
    shape: ([x, indices]: [Shape, Shape], { axis }) => {
      const at = axisOf(axis, x.length);
      if ((x[at] as number) > INDEX_MAX) {
        throw new MisfitError(`has ${x[at]} places, can take ${INDEX_MAX} at most`);
      }
      return [...x.slice(0, at), ...indices, ...x.slice(at + 1)];
    },
    apply: (tf, [x, indices]: [Tensor, Tensor], { axis }) => {
      const at = axisOf(axis, x.rank);
      const places = checkedIndices(indices, x.shape[at] as number);
      const shape = [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)];
      return tf.reshape(gathered(tf, x, { places, at }), shape);
    },
  }),
  define("one_hot", {
    tensors: ["indices"],
    options: { depth: integer() },
    does: "For each index `depth` numbers: 1 at its place, else 0.",
    gradient: "stops",
    shape: ([indices]: [Shape], { depth }) => {
      if (depth < 1) throw new MisfitError(`depth is ${depth}, must be 1 or more`);
      return [...indices, depth];
    },
    apply: (tf, [indices]: [Tensor], { depth }) =>
      tf.cast(tf.oneHot(tf.tensor(checkedIndices(indices, depth), indices.shape, "int32"), depth), "float32"),
  }),
];
