/**
 * A loss as data: nodes in the order in which they can be computed, each with its shape. Made by compile_loss.ts and
 * layers.ts, computed by evaluate.ts, and able to travel to a worker between them.
 *
 * Invariant: a node's arguments stand before it, their shapes fit, and all nodes together have at most `elementsMax`
 * elements: what would take more is refused before anything is computed.
 */
import { refusal, type StepwellError } from "../../errors.ts";
import { elementCount, type Shape, showShape } from "../../tensor.ts";
import { MisfitError, type OptionValue } from "../functions/define.ts";
import { FUNCTIONS } from "../functions/mod.ts";

export const NODES_MAX = 4000;
/** Of one operation: at this size the slowest kernels run for as many seconds as a loss may take by default. */
export const WORK_MAX = 2e9;
/** tfjs has no operation on more dimensions. */
export const RANK_MAX = 6;

export type Node =
  & { readonly shape: Shape }
  & (
    | { readonly kind: "constant"; readonly value: number }
    | { readonly kind: "variable"; readonly name: string }
    | { readonly kind: "input"; readonly name: string }
    /** Uniform random numbers from 0 to 1, which follow from the seed and the iteration. */
    | { readonly kind: "noise"; readonly seed: string }
    /** Rows of a variable: its gradient is sparse. */
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
  /** What variables of role "average" become when the loss is minimized. */
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
      throw tooLarge(`it has more than ${NODES_MAX} operations, must have at most so many`);
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

  /** Throws MisfitError for shapes that do not fit, loss_too_large. */
  call(name: string, args: readonly number[], options: Readonly<Record<string, OptionValue>> = {}): number {
    const row = FUNCTIONS.get(name);
    if (!row) throw new Error(`No function is named ${name}`);
    const defaults = Object.entries(row.options).flatMap(([key, { initial }]) =>
      initial === undefined ? [] : [[key, initial]]
    );
    const all = { ...Object.fromEntries(defaults), ...options };
    const shapes = args.map((arg) => this.shape(arg)), shape = row.shape(shapes, all);
    const odd = [...shapes, shape].find((each) => elementCount(each) === 0);
    // Kernels of tfjs leave what was in memory before where there is nothing to compute.
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
