/**
 * The variables of a loss and their gradients: those of whole variables, and those of the rows that the loss looked
 * up.
 */
import { elementCount } from "../../tensor.ts";
import type { Tensor, Tf } from "../functions/define.ts";
import type { Gradient, Job } from "../graph/messages.ts";
import { copy, tensorsByName } from "./tfjs_tensors.ts";

export class GradientTape {
  readonly #tf: Tf;
  readonly #variables: Map<string, Tensor>;
  /** A scalar stands in for a variable whose rows are looked up; computing its gradient records theirs in `#rows`. */
  readonly #proxies: Map<string, Tensor>;
  readonly #rows = new Map<string, { indices: Int32Array; values: Float32Array }[]>();
  readonly #names: readonly string[];

  constructor(tf: Tf, { graph, variables, watched }: Job) {
    this.#tf = tf;
    this.#variables = tensorsByName(tf, variables);
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
