/** Copies tensors into and out of tfjs, and disposes of them. */
import type { NamedTensor } from "../../tensor.ts";
import type { Tensor, Tf } from "../functions/define.ts";

export function tensorsByName(tf: Tf, tensors: readonly NamedTensor[]): Map<string, Tensor> {
  return new Map(tensors.map(({ name, shape, values }) => [name, tf.tensor(values, [...shape], "float32")]));
}

/** A copy that outlives the tensor. */
export function copy(tensor: Tensor): Float32Array<ArrayBuffer> {
  return new Float32Array(tensor.dataSync());
}

/** Returns the result of `act` and disposes of all tensors that it made, even if it throws. */
export function contained<T>(tf: Tf, act: () => T): T {
  const engine = tf.engine();
  // tfjs itself would leak tensors kept for a gradient that is never computed because of an earlier error.
  const kept: Tensor[] = [];
  const keep = engine.keep;
  engine.keep = (tensor) => {
    kept.push(tensor);
    return keep.call(engine, tensor) as typeof tensor;
  };
  engine.startScope();
  try {
    return act();
  } finally {
    engine.keep = keep;
    engine.endScope();
    for (const tensor of kept) if (!tensor.isDisposed) tensor.dispose();
  }
}
