/**
 * Passes over the elements, and how a graph is split into them. A split is needed because a reduction's result is
 * known only after its pass.
 *
 * A pass is neither code nor memory: emit.ts and interpret.ts perform the same passes. Invariant: all stores happen
 * in one pass, and no later pass reads what it wrote.
 */
import type { Graph, GraphNode } from "../language/graph.ts";
import { REDUCTIONS } from "../language/formula_reductions.ts";

/**
 * How a tensor is accessed, row by row. `indexed`: row i is the row that the call's index list names. `sequential`:
 * one row after the other. `repeat`: the same row each time. `splat`: one number per row.
 */
export type Access = "indexed" | "sequential" | "repeat" | "splat";
export type ElementType = "f32" | "f16" | "bf16" | "f64";
export const ELEMENT_BYTES: Readonly<Record<ElementType, number>> = { f32: 4, f16: 2, bf16: 2, f64: 8 };

export interface TensorLayout {
  readonly access: Access;
  /** Stored tensors are f32 and never `splat`; the other layouts are only for reading. */
  readonly type: ElementType;
}

/** What one pass computes. Ids are nodes of the program's graph. */
export interface Pass {
  /** Element nodes to compute, in order; a tensor node is a load. */
  readonly nodes: readonly number[];
  readonly tensors: readonly { readonly name: string; readonly layout: TensorLayout }[];
  /** Scalar nodes that the pass reads; each is a parameter of the kernel. */
  readonly uniforms: readonly number[];
  readonly reductions: readonly {
    readonly node: number;
    readonly arg: number;
    readonly combine: "add" | "max";
  }[];
  /** `flushes`: subnormal numbers are stored as zero of the same sign. Copies are stored unchanged. */
  readonly stores: readonly { readonly tensor: number; readonly node: number; readonly flushes: boolean }[];
  /** Whether the arena is marked when a number is stored that is not finite. */
  readonly isWatched: boolean;
}

/** The passes in order. Throws RangeError when a stored tensor has a layout that cannot be written. */
export function splitPasses(
  graph: Graph,
  layoutOf: (name: string) => TensorLayout,
  isWatched = true,
): Pass[] {
  const { nodes, stores } = graph;
  for (const name of stores.keys()) {
    const { access, type } = layoutOf(name);
    if (type !== "f32" || access === "splat") {
      throw new RangeError(
        `Cannot store "${name}" as ${type} ${access}, must be f32 with one number per element`,
      );
    }
  }
  const levels = nodes.reduce((level, node) => Math.max(level, node.level), 0);
  // The last pass with reductions also stores, unless a store needs the results of those reductions.
  const storeLevel = Math.max(
    levels - 1,
    0,
    ...stores.values().map((id) => (nodes[id] as GraphNode).level),
  );
  const passes: Pass[] = [];
  for (let level = 0; level <= levels; level++) {
    const reductions = nodes.flatMap((node, id) => {
      const combine = REDUCTIONS.get(node.op)?.combine;
      return combine && node.level === level + 1 ? [{ node: id, arg: node.args[0] as number, combine }] : [];
    });
    const stored = level === storeLevel ? [...stores] : [];
    if (reductions.length + stored.length === 0) break;
    const roots = [...reductions.map(({ arg }) => arg), ...stored.map(([, node]) => node)];
    const { elements, uniforms } = reachable(nodes, roots);
    const loaded = elements.filter((id) => nodes[id]?.op === "tensor").map((id) => nodes[id]?.name as string);
    const names = [...new Set([...loaded, ...stored.map(([name]) => name)])];
    passes.push({
      nodes: elements,
      tensors: names.map((name) => ({ name, layout: layoutOf(name) })),
      uniforms,
      reductions,
      isWatched,
      stores: stored.map(([name, node]) => ({
        tensor: names.indexOf(name),
        node,
        flushes: nodes[node]?.op !== "tensor",
      })),
    });
  }
  return passes;
}

/** Element nodes below `roots`, and the scalar nodes that they read; number literals are part of the code. */
function reachable(nodes: readonly GraphNode[], roots: readonly number[]) {
  const wanted = new Set(roots);
  const elements: number[] = [], uniforms: number[] = [];
  // Arguments have smaller ids, so a walk by falling id meets every user of a node before the node.
  for (let id = nodes.length - 1; id >= 0; id--) {
    if (!wanted.has(id)) continue;
    const node = nodes[id] as GraphNode;
    if (node.element) {
      elements.push(id);
      node.args.forEach((arg) => wanted.add(arg));
    } else if (node.op !== "number") uniforms.push(id);
  }
  return { elements: elements.reverse(), uniforms: uniforms.reverse() };
}
