/**
 * The stages of compilation in order: text → graph → passes → modules. A Program is the meaning of formula lines. A
 * Kernel is a Program for one layout of its tensors in memory, with one WebAssembly module per pass.
 *
 * Modules are cached by formula and layout, never by values: a new learning rate compiles nothing. All stores
 * happen in the last pass that touches elements, so each pass sees the old values.
 */
import { BoundedMap } from "../bounded_map.ts";
import { emitPass } from "./emit.ts";
import { buildGraph, type Graph, type GraphNode, type Scope } from "../language/graph.ts";
import { type Pass, splitPasses, type TensorLayout } from "./pass.ts";
import { ScalarNodes } from "./scalars.ts";

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

  /** The kernel for these layouts. A tensor that `layouts` does not name is f32 and sequential. */
  kernel(layouts: Readonly<Record<string, Partial<TensorLayout>>> = {}): Kernel {
    const layoutOf = (name: string): TensorLayout => {
      const { access = "sequential", type = "f32" } = layouts[name] ?? {};
      return { access, type };
    };
    let key = "";
    for (const name of this.scope.tensors) {
      const { access, type } = layoutOf(name);
      key += access + type;
    }
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
    this.passes = splitPasses(program.graph, layoutOf, program.scope.isWatched);
  }

  /** The module of a pass, compiled on first use. */
  module(pass: number): WebAssembly.Module {
    return this.#modules[pass] ??= moduleOf(this.program.graph.nodes, this.passes[pass] as Pass);
  }
}

/** Compiled modules by the text of their pass. An evicted module is compiled again when it is needed. */
const modules = new BoundedMap<string, WebAssembly.Module>(1024);
let compiled = 0;

/** The number of modules that this process has compiled. A second step must not raise it. */
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
  }
  return module;
}

/** The pass as text, independent of names and ids: equal texts mean equal machine code. */
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
    pass.reductions.map(({ arg, combine }) => `${combine}(${show(arg)})`),
    pass.stores.map(({ tensor, node }) => `t${tensor}=${show(node)}`),
    pass.isWatched,
  ].join("|");
}
