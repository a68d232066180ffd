/** Matrix products. */
import { elementCount, type Shape, showShape } from "../../tensor.ts";
import { broadcast, define, MisfitError, type Tensor, type Tf } from "./define.ts";
import { broadcastTo } from "./elementwise.ts";

/** Both shapes as stacks of matrices: a vector is a row on the left and a column on the right. */
function stacks(a: Shape, b: Shape): { a: Shape; b: Shape; outer: Shape; shape: Shape } {
  if (a.length === 0 || b.length === 0) throw new MisfitError("takes no scalars: * multiplies by one");
  const left = a.length === 1 ? [1, ...a] : a, right = b.length === 1 ? [...b, 1] : b;
  if (left.at(-1) !== right.at(-2)) {
    const lengths = `${left.at(-1)} columns of the first, ${right.at(-2)} rows of the second`;
    throw new MisfitError(`the shapes ${showShape(a)} and ${showShape(b)} do not fit: ${lengths}`);
  }
  const outer = broadcast(left.slice(0, -2), right.slice(0, -2));
  const rows = a.length === 1 ? [] : [left.at(-2) as number],
    columns = b.length === 1 ? [] : [right.at(-1) as number];
  return { a: left, b: right, outer, shape: [...outer, ...rows, ...columns] };
}

function matmul(tf: Tf, a: Tensor, b: Tensor): Tensor {
  const fit = stacks(a.shape, b.shape), shape = [...fit.shape];
  const [n, k] = fit.a.slice(-2) as [number, number], m = fit.b.at(-1) as number;
  // With one matrix on the right, all rows on the left are multiplied at once.
  if (fit.b.length === 2) {
    const rows = elementCount(fit.a.slice(0, -1));
    return tf.reshape(tf.matMul(tf.reshape(a, [rows, k]), tf.reshape(b, [k, m])), shape);
  }
  // tfjs broadcasts the outer dimensions too, but its gradient does not sum over them.
  const depth = elementCount(fit.outer);
  const stack = (x: Tensor, own: Shape) =>
    tf.reshape(broadcastTo(tf, tf.reshape(x, [...own]), [...fit.outer, ...own.slice(-2)]), [
      depth,
      ...own.slice(-2),
    ]);
  return tf.reshape(tf.matMul(stack(a, fit.a), stack(b, fit.b)), [...fit.outer, n, m]).reshape(shape);
}

/** A tenth of the multiplications: a matrix product does ten times as many in the same time as other kernels. */
function work(a: Shape, b: Shape): number {
  const fit = stacks(a, b);
  return elementCount(fit.outer) * elementCount(fit.a.slice(-2)) * (fit.b.at(-1) as number) / 10;
}

export const MATRICES = [
  define("matmul", {
    tensors: ["a", "b"],
    does:
      "`a @ b`: the product of matrices, as numpy has it: vectors are rows on the left and columns on the right, " +
      "dimensions before the last two broadcast.",
    shape: ([a, b]: [Shape, Shape]) => stacks(a, b).shape,
    cost: ([a, b]: [Shape, Shape]) => ({ work: work(a, b), scratch: 0 }),
    apply: (tf, [a, b]: [Tensor, Tensor]) => matmul(tf, a, b),
  }),
];
