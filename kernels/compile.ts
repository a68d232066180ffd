/**
 * The passes in order: text → graph → passes → modules. A Program is what lines mean; a Kernel is a Program
 * for one layout of its tensors in memory, with one WebAssembly module a pass.
 *
 * Modules are cached by formula and layout, never by values: another learning rate compiles nothing. All
 * stores happen in the last pass that touches elements, so each pass sees the old values.
 */
import { emitPass } from "./emit.ts";
import { buildGraph, type Graph, type GraphNode, type Scope } from "./graph.ts";
import { REDUCTIONS } from "./ops.ts";
import { ScalarNodes } from "./scalars.ts";

/**
 * How a tensor is walked, row by row: `indexed` row i at the call's index list; `sequential` row after row;
 * `repeat` the same row each time; `splat` one number a row.
 */
export type Access = "indexed" | "sequential" | "repeat" | "splat";
export type ElementType = "f32" | "f16" | "bf16" | "f64";
export const ELEMENT_BYTES: Readonly<Record<ElementType, number>> = { f32: 4, f16: 2, bf16: 2, f64: 8 };

export interface TensorLayout {
  readonly access: Access;
  /** Stored tensors are f32; the others are only read in. */
  readonly type: ElementType;
}

/** What one pass computes: ids are the program's graph nodes. */
export interface Pass {
  /** Element nodes to compute, in order; tensors among them are loads. */
  readonly nodes: readonly number[];
  readonly tensors: readonly { readonly name: string; readonly layout: TensorLayout }[];
  /** Scalar nodes that the pass reads, each a parameter of the kernel. */
  readonly uniforms: readonly number[];
  readonly reductions: readonly { readonly node: number; readonly arg: number; readonly squared: boolean }[];
  readonly stores: readonly { readonly tensor: number; readonly node: number }[];
}

export class Program {
  readonly graph: Graph;
  readonly scope: Scope;
  readonly scalars: ScalarNodes;
  readonly #kernels = new Map<string, Kernel>();

  constructor(lines: readonly string[], scope: Scope) {
    this.graph = buildGraph(lines, scope);
    this.scope = scope;
    this.scalars = new ScalarNodes(this.graph);
  }

  /** The program for tensors laid out so; a tensor that `layouts` does not name is f32 and sequential. */
  kernel(layouts: Readonly<Record<string, Partial<TensorLayout>>> = {}): Kernel {
    const layoutOf = (name: string): TensorLayout => ({
      access: "sequential",
      type: "f32",
      ...layouts[name],
    });
    const key = this.scope.tensors.map((name) => `${layoutOf(name).access} ${layoutOf(name).type}`).join();
    let kernel = this.#kernels.get(key);
    if (!kernel) {
      kernel = new Kernel(this, layoutOf);
      this.#kernels.set(key, kernel);
    }
    return kernel;
  }
}

export class Kernel {
  readonly program: Program;
  readonly passes: readonly Pass[];
  readonly #modules: (WebAssembly.Module | undefined)[] = [];

  constructor(program: Program, layoutOf: (name: string) => TensorLayout) {
    this.program = program;
    this.passes = splitPasses(program.graph, layoutOf);
  }

  /** The module of a pass, compiled on first use. */
  module(pass: number): WebAssembly.Module {
    return this.#modules[pass] ??= moduleOf(this.program.graph.nodes, this.passes[pass] as Pass);
  }
}

function splitPasses(graph: Graph, layoutOf: (name: string) => TensorLayout): Pass[] {
  const { nodes, stores } = graph;
  const levels = Math.max(0, ...nodes.map((node) => node.level));
  // The last pass that reduces may store as well, unless a store waits for what it reduces.
  const storeLevel = Math.max(
    levels - 1,
    0,
    ...[...stores.values()].map((id) => (nodes[id] as GraphNode).level),
  );
  const passes: Pass[] = [];
  for (let level = 0; level <= levels; level++) {
    const reductions = nodes.flatMap((node, id) => {
      const row = REDUCTIONS.get(node.op);
      return row && node.level === level + 1
        ? [{ node: id, arg: node.args[0] as number, squared: row.squared }]
        : [];
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
      stores: stored.map(([name, node]) => ({ tensor: names.indexOf(name), node })),
    });
  }
  return passes;
}

/** Element nodes below `roots`, and the scalar nodes where they end; number literals are part of the code. */
function reachable(nodes: readonly GraphNode[], roots: readonly number[]) {
  const seen = new Set<number>();
  const uniforms = new Set<number>();
  const visit = (id: number) => {
    const node = nodes[id] as GraphNode;
    if (!node.element) {
      if (node.op !== "number") uniforms.add(id);
    } else if (!seen.has(id)) {
      seen.add(id);
      node.args.forEach(visit);
    }
  };
  roots.forEach(visit);
  const ascending = (ids: Set<number>) => [...ids].sort((a, b) => a - b);
  return { elements: ascending(seen), uniforms: ascending(uniforms) };
}

/** Modules that are kept at most: the oldest is compiled again when it is wanted again. */
const MODULES_MAX = 1024;
const modules = new Map<string, WebAssembly.Module>();
let compiled = 0;

/** How many modules this process has compiled: a second step must not raise it. */
export function compiledCount(): number {
  return compiled;
}

function moduleOf(nodes: readonly GraphNode[], pass: Pass): WebAssembly.Module {
  const key = describePass(nodes, pass);
  let module = modules.get(key);
  if (!module) {
    module = new WebAssembly.Module(emitPass(nodes, pass));
    compiled += 1;
    modules.set(key, module);
    if (modules.size > MODULES_MAX) modules.delete(modules.keys().next().value as string);
  }
  return module;
}

/** The pass as text in which names and ids do not matter: equal texts are equal machine code. */
function describePass(nodes: readonly GraphNode[], pass: Pass): string {
  const tensorAt = new Map(pass.tensors.map(({ name }, index) => [name, index]));
  const place = new Map<number, string>(pass.uniforms.map((id, index) => [id, `u${index}`]));
  const show = (id: number): string => {
    const node = nodes[id] as GraphNode;
    const literal = Object.is(node.value, -0) ? "-0" : node.value;
    return place.get(id) ?? (node.op === "tensor" ? `t${tensorAt.get(node.name)}` : `#${literal}`);
  };
  const lines = pass.nodes.filter((id) => nodes[id]?.op !== "tensor").map((id, index) => {
    const node = nodes[id] as GraphNode;
    const line = `${node.op}(${node.args.map(show)})`;
    place.set(id, `n${index}`);
    return line;
  });
  return [
    pass.tensors.map(({ layout }) => `${layout.access}:${layout.type}`),
    lines.join(";"),
    pass.reductions.map(({ arg, squared }) => `${squared ? "squares" : "values"}(${show(arg)})`),
    pass.stores.map(({ tensor, node }) => `t${tensor}=${show(node)}`),
  ].join("|");
}
