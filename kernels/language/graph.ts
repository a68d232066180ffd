/**
 * The graph of parsed lines: typed, interned nodes. A node is a scalar (one number per call) or an element node (one
 * number per element); equal expressions are one node. Arguments have smaller ids than the nodes that use them, so id
 * order is evaluation order.
 *
 * A reduction turns an element node into a scalar and splits the rule: `level` counts the reductions below a node,
 * and a node of level n can be computed in pass n at the earliest.
 *
 * Nothing is folded or reordered: the graph computes what is written, with one rounding per op.
 */
import { type Expression, FormulaError, parseFormula } from "./formula_syntax.ts";
import { REDUCTIONS } from "./formula_reductions.ts";
import type { Expander } from "./op_row.ts";
import { OPS } from "./ops.ts";

export interface GraphNode {
  /** An op, a reduction, or one of the leaves "number", "uniform" (a named scalar) and "tensor". */
  readonly op: string;
  readonly args: readonly number[];
  readonly name: string;
  readonly value: number;
  readonly element: boolean;
  readonly mask: boolean;
  readonly level: number;
}

/** The names that a formula may use. Names in `stored` are tensors whose new value is written back. */
export interface Scope {
  readonly tensors: readonly string[];
  readonly stored: readonly string[];
  readonly uniforms: readonly string[];
  /** Whether a kernel marks its arena when it stores a number that is not finite; absent: true. */
  readonly isWatched?: boolean;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  /** Stored tensor → the node of its new value. */
  readonly stores: ReadonlyMap<string, number>;
  /** Every assigned name with a scalar value → its node. */
  readonly scalars: ReadonlyMap<string, number>;
}

class Builder implements Expander {
  readonly nodes: GraphNode[] = [];
  readonly #ids = new Map<string, number>();

  #intern(node: GraphNode): number {
    // -0 and 0 print alike but are different constants.
    const value = Object.is(node.value, -0) ? "-0" : String(node.value);
    const key = `${node.op}|${node.name}|${value}|${node.args.join()}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    this.nodes.push(node);
    this.#ids.set(key, this.nodes.length - 1);
    return this.nodes.length - 1;
  }

  node(id: number): GraphNode {
    return this.nodes[id] as GraphNode;
  }

  leaf(op: "number" | "uniform" | "tensor", name: string, value = 0): number {
    return this.#intern({ op, name, value, args: [], element: op === "tensor", mask: false, level: 0 });
  }

  number(value: number): number {
    return this.leaf("number", "", Math.fround(value));
  }

  apply(op: string, ...args: number[]): number {
    const row = OPS.get(op);
    const [a = 0, b = 0, c = 0] = args;
    if (row?.expand) return row.expand(this, a, b, c);
    const reduction = REDUCTIONS.get(op);
    if (reduction?.of) args = [reduction.of(this, a)];
    const nodes = args.map((id) => this.node(id));
    const level = Math.max(0, ...nodes.map((node) => node.level)) + (reduction ? 1 : 0);
    const element = !reduction && nodes.some((node) => node.element);
    return this.#intern({ op, args, name: "", value: 0, element, mask: row?.mask === true, level });
  }
}

/** Whether a function has this name. Operators are written as symbols, so formulas may use their names. */
export const isFunction = (name: string) => REDUCTIONS.has(name) || (OPS.has(name) && !OPS.get(name)?.symbol);

/** Builds the graph of `lines`. Throws {@link FormulaError} for wrong syntax, names, types and assignments. */
export function buildGraph(lines: readonly string[], scope: Scope): Graph {
  const builder = new Builder();
  const values = new Map<string, number>();
  for (const name of scope.uniforms) values.set(name, builder.leaf("uniform", name));
  for (const name of scope.tensors) values.set(name, builder.leaf("tensor", name));
  const assigned = new Set<string>();

  for (const { target, expression, number } of parseFormula(lines)) {
    const build = (from: Expression): number => {
      const fail = (message: string): never => {
        throw new FormulaError(message, number, from.column);
      };
      if (from.kind === "number") return builder.number(from.value);
      if (from.kind === "name") {
        return values.get(from.name) ??
          fail(`Unknown name "${from.name}", known are ${[...values.keys()].join(", ")}`);
      }
      const arity = OPS.get(from.op)?.arity ?? (REDUCTIONS.has(from.op) ? 1 : undefined);
      if (arity === undefined) {
        const known = [...OPS.keys(), ...REDUCTIONS.keys()].filter(isFunction);
        return fail(`Unknown function "${from.op}", known are ${known.join(", ")}`);
      }
      if (from.args.length !== arity) {
        fail(`${from.op} takes ${arity} argument${arity === 1 ? "" : "s"}, found ${from.args.length}`);
      }
      const shown = OPS.get(from.op)?.symbol ?? from.op;
      const args = from.args.map(build);
      args.forEach((id, index) => {
        const wantsMask = from.op === "where" && index === 0;
        if (builder.node(id).mask !== wantsMask) {
          fail(
            wantsMask
              ? "where needs a comparison as its first argument"
              : `${shown} cannot use a comparison as a number`,
          );
        }
      });
      if (REDUCTIONS.has(from.op) && !builder.node(args[0] as number).element) {
        fail(`${from.op} needs one number per element, found one number per step`);
      }
      return builder.apply(from.op, ...args);
    };
    const id = build(expression);
    if (builder.node(id).mask) {
      throw new FormulaError(`Cannot assign a comparison to "${target}", use where`, number, 1);
    }
    if (isFunction(target)) {
      throw new FormulaError(`Cannot assign to "${target}", it names a function`, number, 1);
    }
    values.set(target, id);
    assigned.add(target);
  }

  const valueOf = (name: string) => values.get(name) as number;
  return {
    nodes: builder.nodes,
    stores: new Map(scope.stored.filter((name) => assigned.has(name)).map((name) => [name, valueOf(name)])),
    scalars: new Map(
      [...assigned].filter((name) => !scope.stored.includes(name) && !builder.node(valueOf(name)).element)
        .map((name) => [name, valueOf(name)]),
    ),
  };
}
