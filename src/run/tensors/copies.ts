/**
 * Copies of a run's tensors, that no later step changes: of each home at once. There may be hundreds of thousands of
 * tensors, so a view of a copy is made when it is asked for.
 */
import type { NamedTensor, Shape } from "../../tensor.ts";
import type { RunState } from "./state.ts";
import type { Home, VariableState } from "./variable_state.ts";

/** Gives a variable's part of the copies, under a name. */
export type Copies = (variable: VariableState, name: string) => NamedTensor;

export function copyVariables(state: RunState): Copies {
  return copiesOf(state, ({ offset }) => offset);
}

/** A slot of all variables that have it. */
export function copySlot(state: RunState, slot: string): Copies {
  return copiesOf(state, ({ slots }) => slots.get(slot));
}

function copiesOf({ homes, arena }: RunState, offsetOf: (home: Home) => number | undefined): Copies {
  const copies = new Map<Home, Float32Array<ArrayBuffer>>();
  for (const home of homes) {
    const offset = offsetOf(home);
    if (offset !== undefined) copies.set(home, arena.f32(offset, home.bytes / 4).slice());
  }
  return (variable, name) =>
    new CopiedTensor(name, variable, copies.get(variable.home) as Float32Array<ArrayBuffer>);
}

class CopiedTensor implements NamedTensor {
  readonly name: string;
  readonly #variable: VariableState;
  readonly #all: Float32Array<ArrayBuffer>;

  constructor(name: string, variable: VariableState, all: Float32Array<ArrayBuffer>) {
    this.name = name;
    this.#variable = variable;
    this.#all = all;
  }

  get shape(): Shape {
    return this.#variable.shape;
  }

  get values(): Float32Array<ArrayBuffer> {
    const { place, count } = this.#variable;
    return this.#all.subarray(place / 4, place / 4 + count);
  }
}
