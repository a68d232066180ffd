/**
 * In which order the small tensors of a body came, and where each belongs: side by side like the variables. Bodies with
 * the same tensors in the same order share one arrangement.
 *
 * It holds no memory of an arena and no values.
 */
import type { VariableState } from "../tensors/state.ts";

/** Tensors of variables that lie side by side in one home. */
export interface Span {
  readonly first: VariableState;
  /** In the order of the variables: the place of the first, and after the last. */
  readonly from: number;
  readonly to: number;
  /** Elements of all of them. */
  readonly count: number;
  /** Elements before them. */
  readonly at: number;
}

export class Arrangement {
  /** In the order of the body. */
  readonly order: readonly VariableState[];
  /** In the run's order. */
  readonly variables: readonly VariableState[];
  /** Whether both orders are the same. */
  readonly isInOrder: boolean;
  readonly spans: readonly Span[];
  /** Elements of all tensors. */
  readonly count: number;
  /** By the run's order: elements of the body before the tensor. */
  readonly #from: Uint32Array;

  /** Each variable is there once. */
  constructor(order: readonly VariableState[]) {
    this.order = order;
    this.isInOrder = isAscending(order);
    const sorted = this.isInOrder ? undefined : sortedPlaces(order);
    this.variables = sorted ? Array.from(sorted, (place) => order[place] as VariableState) : order;
    const starts = new Uint32Array(order.length);
    let count = 0;
    for (let place = 0; place < order.length; place++) {
      starts[place] = count;
      count += (order[place] as VariableState).count;
    }
    this.count = count;
    this.#from = sorted ? sorted.map((place) => starts[place] as number) : starts;
    this.spans = spansOf(this.variables);
  }

  /** Copies elements, as their bits, from the order of the body to the run's order. */
  sort(from: Int32Array, to: Int32Array): void {
    const { variables } = this;
    let at = 0;
    for (let place = 0; place < variables.length; place++) {
      const { count } = variables[place] as VariableState, start = this.#from[place] as number;
      if (count <= COPIED_SINGLY_MAX) {
        for (let n = 0; n < count; n++) to[at + n] = from[start + n] as number;
      } else to.set(from.subarray(start, start + count), at);
      at += count;
    }
  }
}

/** Up to this count a loop is faster than a call that copies. */
const COPIED_SINGLY_MAX = 32;

function isAscending(order: readonly VariableState[]): boolean {
  let last = -1;
  for (const { index } of order) {
    if (index < last) return false;
    last = index;
  }
  return true;
}

/** Places in `order`, by the run's order. The numbers sorted are exact: runs have fewer than 2^20 variables. */
function sortedPlaces(order: readonly VariableState[]): Uint32Array {
  const keys = Float64Array.from(order, ({ index }, place) => index * 2 ** 32 + place).sort();
  return Uint32Array.from(keys, (key) => key % 2 ** 32);
}

function spansOf(variables: readonly VariableState[]): Span[] {
  const spans: { first: VariableState; from: number; to: number; count: number; at: number }[] = [];
  let at = 0;
  for (const [place, variable] of variables.entries()) {
    const last = spans.at(-1);
    const joins = last && variable.home === last.first.home &&
      variable.place === last.first.place + 4 * last.count;
    if (joins) {
      last.to = place + 1;
      last.count += variable.count;
    } else spans.push({ first: variable, from: place, to: place + 1, count: variable.count, at });
    at += variable.count;
  }
  return spans;
}
