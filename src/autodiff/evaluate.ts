/**
 * A graph's value and its gradients, by tfjs. Runs in a worker (worker.ts); tests call it as it is.
 *
 * Invariant: every tensor is disposed of before this returns, whatever happens.
 */
import { elementCount, type NamedTensor } from "../tensor.ts";
import type { Tensor, Tf } from "./functions/define.ts";
import { detach } from "./functions/elementwise.ts";
import { checkedIndices } from "./functions/indices.ts";
import { FUNCTIONS } from "./functions/mod.ts";
import type { Node } from "./graph.ts";
import type { Evaluation, Gradient, Job } from "./messages.ts";

/** A loss that cannot be computed with these values: invalid_loss, index_out_of_range. */
export function evaluate(tf: Tf, job: Job): Evaluation {
  tf.engine().startScope();
  try {
    const watch = new Watch(tf, job);
    const { nodes, loss } = job.graph;
    const inputs = byName(tf, job.inputs);
    const updates: NamedTensor[] = [];
    const forward = () => {
      const values: Tensor[] = [];
      for (const node of nodes) values.push(compute(node));
      for (const { name, node } of job.graph.updates) {
        const value = values[node] as Tensor;
        updates.push({ name, shape: value.shape, values: copy(value) });
      }
      return values[loss] as Tensor;

      function compute(node: typeof nodes[number]): Tensor {
        switch (node.kind) {
          case "constant":
            return tf.scalar(node.value);
          case "noise":
            return tf.randomUniform([...node.shape], 0, 1, "float32", `${node.seed} ${job.iteration}`);
          case "variable":
            return watch.variable(node.name);
          case "input":
            return inputs.get(node.name) as Tensor;
          case "rows":
            return tf.reshape(
              watch.rows(node.name, checkedIndices(values[node.indices] as Tensor, node.rows)),
              [...node.shape],
            );
          case "call": {
            const row = FUNCTIONS.get(node.name);
            if (!row) throw new Error(`No function is named ${node.name}`);
            const args = node.args.map((arg) => values[arg] as Tensor);
            return row.apply(
              tf,
              row.gradient === "stops" ? args.map((arg) => detach(tf, arg)) : args,
              node.options,
            );
          }
        }
      }
    };
    const dy = job.lossGradient &&
      tf.tensor(job.lossGradient, [...(nodes[loss] as Node).shape]);
    const { value, gradients } = watch.differentiate(forward, dy);
    return { loss: { shape: value.shape, values: copy(value) }, gradients, updates };
  } finally {
    tf.engine().endScope();
  }
}

function byName(tf: Tf, tensors: readonly NamedTensor[]): Map<string, Tensor> {
  return new Map(tensors.map(({ name, shape, values }) => [name, tf.tensor(values, [...shape], "float32")]));
}

const copy = (tensor: Tensor) => new Float32Array(tensor.dataSync());

/** The variables, and what the gradient tape knows of them. */
class Watch {
  readonly #tf: Tf;
  readonly #variables: Map<string, Tensor>;
  /** A scalar stands for a variable of which rows are taken: its gradient says that theirs have been noted. */
  readonly #proxies: Map<string, Tensor>;
  readonly #rows = new Map<string, { indices: Int32Array; values: Float32Array }[]>();
  readonly #names: readonly string[];

  constructor(tf: Tf, { graph, variables, watched }: Job) {
    this.#tf = tf;
    this.#variables = byName(tf, variables);
    this.#names = watched;
    const rowed = new Set(graph.nodes.flatMap((node) => node.kind === "rows" ? [node.name] : []));
    this.#proxies = new Map(watched.filter((name) => rowed.has(name)).map((name) => [name, tf.scalar(0)]));
  }

  variable(name: string): Tensor {
    return this.#variables.get(name) as Tensor;
  }

  rows(name: string, indices: Int32Array): Tensor {
    const tf = this.#tf, table = this.variable(name), proxy = this.#proxies.get(name);
    const gather = () => tf.gather(table, tf.tensor1d(indices, "int32"));
    if (!proxy) return gather();
    const noted = tf.customGrad((_: unknown) => ({
      value: gather(),
      gradFunc: (dy: Tensor) => {
        const list = this.#rows.get(name) ?? [];
        list.push({ indices, values: copy(dy) });
        this.#rows.set(name, list);
        return tf.scalar(0);
      },
    }));
    return noted(proxy);
  }

  differentiate(forward: () => Tensor, dy?: Tensor): { value: Tensor; gradients: Gradient[] } {
    const names = this.#names;
    const dense = names.map((name) => this.variable(name));
    const proxies = [...this.#proxies.values()];
    if (names.length === 0) return { value: forward(), gradients: [] };
    const { value, grads } = this.#tf.engine().gradients(forward, [...dense, ...proxies], dy, true);
    const gradients = names.flatMap((name, at): Gradient[] => {
      const grad = grads[at] as Tensor | undefined;
      return this.#gradient(name, grad);
    });
    return { value, gradients };
  }

  #gradient(name: string, dense: Tensor | undefined): Gradient[] {
    const parts = this.#rows.get(name)?.toReversed() ?? [];
    const { shape } = this.variable(name);
    if (parts.length === 0) return dense ? [{ name, shape, values: copy(dense) }] : [];
    const rest = shape.slice(1), length = elementCount(rest);
    if (dense) {
      const values = copy(dense);
      for (const part of parts) {
        part.indices.forEach((row, at) => {
          for (let i = 0; i < length; i++) {
            values[row * length + i] = (values[row * length + i] as number) +
              (part.values[at * length + i] as number);
          }
        });
      }
      return [{ name, shape, values }];
    }
    const count = parts.reduce((sum, { indices }) => sum + indices.length, 0);
    const indices = new Int32Array(count), values = new Float32Array(count * length);
    let at = 0;
    for (const part of parts) {
      indices.set(part.indices, at);
      values.set(part.values, at * length);
      at += part.indices.length;
    }
    return [{ name, shape: [count, ...rest], indices, values }];
  }
}
