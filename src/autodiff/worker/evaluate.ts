/**
 * Computes a graph's value and its gradients with tfjs. Runs in a worker (worker.ts); tests call it directly.
 *
 * Invariant: every tensor is disposed of before this returns, whatever happens.
 */
import type { NamedTensor } from "../../tensor.ts";
import type { Tensor, TensorFunction, Tf } from "../functions/define.ts";
import { detach } from "../functions/elementwise.ts";
import { checkedIndices } from "../functions/indices.ts";
import { FUNCTIONS } from "../functions/mod.ts";
import type { Node } from "../graph/loss_graph.ts";
import type { Evaluation, Job } from "../graph/messages.ts";
import { contained, copy, tensorsByName } from "./tfjs_tensors.ts";
import { GradientTape } from "./gradient_tape.ts";

/** Computes the loss, its gradients and the new averages. Throws index_out_of_range. */
export function evaluate(tf: Tf, job: Job): Evaluation {
  return contained(tf, () => {
    const tape = new GradientTape(tf, job);
    const { nodes, loss, updates } = job.graph;
    const inputs = tensorsByName(tf, job.inputs);
    let values: Tensor[] = [];
    const averages: NamedTensor[] = [];
    const forward = () => {
      values = [];
      for (const node of nodes) values.push(compute(node));
      for (const { name, node } of updates) {
        const value = values[node] as Tensor;
        averages.push({ name, shape: value.shape, values: copy(value) });
      }
      return values[loss] as Tensor;
    };

    function compute(node: Node): Tensor {
      switch (node.kind) {
        case "constant":
          return tf.scalar(node.value);
        case "noise":
          return tf.randomUniform([...node.shape], 0, 1, "float32", `${node.seed} ${job.iteration}`);
        case "variable":
          return tape.variable(node.name);
        case "input":
          return inputs.get(node.name) as Tensor;
        case "rows": {
          const indices = checkedIndices(values[node.indices] as Tensor, node.rows);
          return tf.reshape(tape.rows(node.name, indices), [...node.shape]);
        }
        case "call": {
          const { apply, gradient } = functionOf(node.name);
          const args = node.args.map((arg) => values[arg] as Tensor);
          return apply(tf, gradient === "stops" ? args.map((arg) => detach(tf, arg)) : args, node.options);
        }
      }
    }

    const dy = job.lossGradient && tf.tensor(job.lossGradient, [...(nodes[loss] as Node).shape]);
    const { value, gradients } = tape.differentiate(forward, dy);
    return { loss: { shape: value.shape, values: copy(value) }, gradients, updates: averages };
  });
}

function functionOf(name: string): TensorFunction {
  const row = FUNCTIONS.get(name);
  if (row) return row;
  throw new Error(`No function is named ${name}`);
}
