/**
 * The rival for sparse Adagrad: tfjs in the best form found. A scatter into a small table sums repeated rows.
 * `gatherND` reads rows (`gather` takes twenty times as long on the wasm backend). `tensorScatterUpdate` writes them
 * back and copies the whole table, because tfjs cannot write rows in place. The backend has no `unsortedSegmentSum`.
 * A scatter into a dense gradient and one `applyGradients` over the whole table takes longer still.
 */
import * as tf from "@tensorflow/tfjs";
import { rowsOf, type SparseStepper, type SparseWork } from "../sparse_work.ts";
import { EPSILON, INITIAL_ACCUMULATOR, LEARNING_RATE } from "../work.ts";

export function tfjsSparseStepper(work: SparseWork): SparseStepper {
  const { rows, width, indices } = work;
  const table = tf.variable(tf.tensor2d(work.initial, [rows, width]));
  const accumulator = tf.variable(tf.fill([rows, width], INITIAL_ACCUMULATOR) as tf.Tensor2D);
  const values = tf.tensor2d(work.values.slice(), [indices.length, width]);
  return {
    name: "tfjs-wasm",
    step: () =>
      tf.tidy(() => {
        const { unique, ordinals } = findUnique(indices);
        const at = tf.tensor2d(unique, [unique.length, 1], "int32");
        const places = tf.tensor2d(ordinals, [ordinals.length, 1], "int32");
        const gradient = tf.scatterND(places, values, [unique.length, width]);
        const sums = tf.add(tf.gatherND(accumulator, at), tf.square(gradient));
        accumulator.assign(tf.tensorScatterUpdate(accumulator, at, sums));
        const moves = tf.div(tf.mul(gradient, -LEARNING_RATE), tf.sqrt(tf.add(sums, EPSILON)));
        table.assign(tf.tensorScatterUpdate(table, at, tf.add(tf.gatherND(table, at), moves)));
      }),
    touched: () => rowsOf(table.dataSync() as Float32Array, work),
    dispose() {
      tf.dispose([table, accumulator, values]);
    },
  };
}

function findUnique(indices: Int32Array): { unique: Int32Array; ordinals: Int32Array } {
  const found = new Map<number, number>();
  const ordinals = indices.map((row) => {
    const known = found.get(row);
    if (known !== undefined) return known;
    found.set(row, found.size);
    return found.size - 1;
  });
  return { unique: Int32Array.from(found.keys()), ordinals };
}
