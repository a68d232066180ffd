/**
 * A loss as data: nodes in an order in which they can be computed, each with its shape. compile_loss.ts and the
 * layers build the graph, evaluate.ts computes it; it can be sent to a worker in between.
 *
 * Invariant: a node's arguments come before it, their shapes fit, and all nodes together have at most `elementsMax`
 * elements. A larger loss is refused before anything is computed.
 */
import { refusal, type StepwellError } from "../../errors.ts";
import { elementCount, type Shape, showShape } from "../../tensor.ts";
import { MisfitError, type OptionValue } from "../functions/define.ts";
import { FUNCTIONS } from "../functions/mod.ts";

export const NODES_MAX = 4000;
/** The most work of one operation: the slowest kernels then run about as long as the default time limit of a loss. */
export const WORK_MAX = 2e9;
/** tfjs supports no more dimensions. */
export const RANK_MAX = 6;

export type Node =
  & { readonly shape: Shape }
  & (
    | { readonly kind: "constant"; readonly value: number }
    | { readonly kind: "variable"; readonly name: string }
    | { readonly kind: "input"; readonly name: string }
    /** Uniform random numbers from 0 to 1, determined by the seed and the iteration. */
    | { readonly kind: "noise"; readonly seed: string }
    /** Rows of a variable, whose gradient is then sparse. */
    | { readonly kind: "rows"; readonly name: string; readonly rows: number; readonly indices: number }
    | {
      readonly kind: "call";
      readonly name: string;
      readonly args: readonly number[];
      readonly options: Readonly<Record<string, OptionValue>>;
    }
  );

export interface Graph {
  readonly nodes: readonly Node[];
  /** The node that is the loss. */
  readonly loss: number;
  /** The new values of variables of role "average" when the loss is minimized. */
  readonly updates: readonly { readonly name: string; readonly node: number }[];
}

export class GraphBuilder {
  readonly nodes: Node[] = [];
  readonly #elementsMax: number;
  #elements = 0;

  constructor(elementsMax: number) {
    this.#elementsMax = elementsMax;
  }

  shape(node: number): Shape {
    return (this.nodes[node] as Node).shape;
  }

  add(node: Node): number {
    if (this.nodes.length === NODES_MAX) {
      throw tooLarge(`it has more than ${NODES_MAX} operations, must have at most that many`);
    }
    if (node.shape.length > RANK_MAX) {
      throw new MisfitError(`${showShape(node.shape)} has more than ${RANK_MAX} dimensions`);
    }
    this.#addElements(elementCount(node.shape));
    return this.nodes.push(node) - 1;
  }

  #addElements(elements: number): void {
    this.#elements += elements;
    if (this.#elements <= this.#elementsMax) return;
    throw tooLarge(
      `its tensors have ${this.#elements} numbers or more, must have at most ${this.#elementsMax}`,
    );
  }

  constant(value: number): number {
    return this.add({ kind: "constant", value, shape: [] });
  }

  /** Throws loss_too_large, and MisfitError for shapes that do not fit. */
  call(name: string, args: readonly number[], options: Readonly<Record<string, OptionValue>> = {}): number {
    const row = FUNCTIONS.get(name);
    if (!row) throw new Error(`No function is named ${name}`);
    const defaults = Object.entries(row.options).flatMap(([key, { initial }]) =>
      initial === undefined ? [] : [[key, initial]]
    );
    const all = { ...Object.fromEntries(defaults), ...options };
    const shapes = args.map((arg) => this.shape(arg)), shape = row.shape(shapes, all);
    const odd = [...shapes, shape].find((each) => elementCount(each) === 0);
    // If there is nothing to compute, tfjs' kernels return the previous contents of the memory.
    if (odd) throw new MisfitError(`a tensor of shape ${showShape(odd)} has no elements`);
    const cost = row.cost?.(shapes, all);
    if (cost && !(cost.work <= WORK_MAX)) {
      throw tooLarge(
        `${name} takes ${cost.work} multiplications for one result, must take at most ${WORK_MAX}`,
      );
    }
    if (cost) this.#addElements(cost.scratch);
    const [table, indices] = args;
    const of = table === undefined ? undefined : this.nodes[table];
    if (name === "gather" && all["axis"] === 0 && of?.kind === "variable" && indices !== undefined) {
      return this.add({ kind: "rows", name: of.name, rows: of.shape[0] as number, indices, shape });
    }
    return this.add({ kind: "call", name, args, options: all, shape });
  }
}

function tooLarge(problem: string): StepwellError {
  return refusal("loss_too_large", "take the loss", { path: "loss", called: "" }, problem);
}
