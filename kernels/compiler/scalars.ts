/**
 * The scalar nodes of a graph, evaluated once per call in float32 by the `evaluate` functions of the op table. Both
 * runners use them.
 *
 * Level n holds the nodes that need the reductions of exactly n passes. The values live in one buffer, which the next
 * evaluation overwrites; an evaluation is synchronous from `begin` to `results`.
 */
import type { Graph, GraphNode } from "../language/graph.ts";
import { flush } from "../language/flush.ts";
import { REDUCTIONS } from "../language/formula_reductions.ts";
import { OPS } from "../language/ops.ts";

type Evaluate = (a: number, b: number, c: number) => number;

interface Instruction {
  readonly id: number;
  readonly evaluate: Evaluate;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

export class ScalarNodes {
  /** Float32 value by node id; element nodes have none. */
  readonly values: Float32Array;
  readonly #uniforms: { readonly id: number; readonly name: string }[] = [];
  readonly #levels: Instruction[][] = [];
  readonly #results: readonly (readonly [string, number])[];
  readonly #nodes: readonly GraphNode[];

  constructor({ nodes, scalars, stores }: Graph) {
    const used = new Set([...nodes.flatMap(({ args }) => args), ...stores.values(), ...scalars.values()]);
    this.values = new Float32Array(nodes.length);
    this.#nodes = nodes;
    this.#results = [...scalars];
    nodes.forEach((node, id) => {
      const level = this.#levels[node.level] ??= [];
      if (node.op === "number") this.values[id] = node.value;
      else if (node.op === "uniform") {
        if (used.has(id)) this.#uniforms.push({ id, name: node.name });
      } else if (!node.element && !REDUCTIONS.has(node.op)) {
        const [a = 0, b = 0, c = 0] = node.args;
        level.push({ id, evaluate: OPS.get(node.op)?.evaluate as Evaluate, a, b, c });
      }
    });
  }

  /** Sets the named scalars and computes level 0. Throws RangeError when a scalar that is used has no value. */
  begin(uniforms: Readonly<Record<string, number>>): void {
    for (const { id, name } of this.#uniforms) {
      const value = uniforms[name];
      if (value === undefined) throw new RangeError(`Cannot run without a value for "${name}"`);
      this.values[id] = value;
    }
    this.compute(0);
  }

  compute(level: number): void {
    const { values } = this;
    for (const { id, evaluate, a, b, c } of this.#levels[level] ?? []) {
      values[id] = flush(evaluate(values[a] as number, values[b] as number, values[c] as number));
    }
  }

  /** Sets the result of a reduction from its float64 total over `count` elements. */
  reduced(id: number, total: number, count: number): void {
    this.values[id] = REDUCTIONS.get(this.#nodes[id]?.op ?? "")?.finish(total, count) as number;
  }

  /** All assigned scalars by name. */
  results(): Record<string, number> {
    const results: Record<string, number> = {};
    for (const [name, id] of this.#results) results[name] = this.values[id] as number;
    return results;
  }
}
