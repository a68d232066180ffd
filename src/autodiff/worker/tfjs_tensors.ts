/** Tensors into tfjs and out of it. */
import type { NamedTensor } from "../../tensor.ts";
import type { Tensor, Tf } from "../functions/define.ts";

export function tensorsByName(tf: Tf, tensors: readonly NamedTensor[]): Map<string, Tensor> {
  return new Map(tensors.map(({ name, shape, values }) => [name, tf.tensor(values, [...shape], "float32")]));
}

/** Good when the tensor is gone. */
export function copy(tensor: Tensor): Float32Array<ArrayBuffer> {
  return new Float32Array(tensor.dataSync());
}

/** What `act` gives; whatever tensors it made are gone then, also where it throws. */
export function contained<T>(tf: Tf, act: () => T): T {
  const engine = tf.engine();
  // What is kept for a gradient that is never computed, because something throws before, tfjs itself would forget.
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
