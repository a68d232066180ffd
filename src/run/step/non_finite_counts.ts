/**
 * How many numbers of each variable and slot are not finite, so that a step can tell what it added.
 *
 * Kernels mark the arena when they store such a number (kernels/compiler/stores.ts); only then, and where such numbers
 * are known, anything is counted. Invariant: between two changes the counts are exact or unknown. They follow from the
 * values alone, so a replay, or a run that was read from the disk, tells the same.
 */
import { countNonFinite } from "../../../kernels/routines/non_finite.ts";
import type { RunState } from "../tensors/state.ts";
import type { Home, VariableState } from "../tensors/variable_state.ts";

/** A variable, or a slot of it, that holds more numbers that are not finite than before a step. */
export interface Increase {
  readonly variable: string;
  /** null: the variable itself. */
  readonly slot: string | null;
  readonly count: number;
  readonly before: number;
}

/** Count by slot, where it is not 0; "" stands for the variable itself. */
type Counts = ReadonlyMap<string, number>;

const NONE: Counts = new Map();

export class NonFiniteCounts {
  readonly #state: RunState;
  /** By the index of a variable: whether its counts are known. */
  readonly #known: Uint8Array;
  #knownCount = 0;
  /** The counts that are not all 0. */
  readonly #counts = new Map<VariableState, Counts>();

  constructor(state: RunState) {
    this.#state = state;
    this.#known = new Uint8Array(state.variables.size);
  }

  /** Forgets the counts of variables whose values, or whose slots, were set. */
  forget(variables: Iterable<VariableState>): void {
    for (const variable of variables) {
      this.#knownCount -= this.#known[variable.index] as number;
      this.#known[variable.index] = 0;
      this.#counts.delete(variable);
    }
  }

  /** Makes the counts of variables known, and clears the arena's mark. Called before a step changes the variables. */
  prepare(variables: readonly VariableState[]): void {
    if (this.#knownCount < this.#state.variables.size) {
      const unknown = variables.filter(({ index }) => this.#known[index] === 0);
      for (const home of new Set(unknown.map(({ home }) => home))) this.#countHome(home);
    }
    this.#state.arena.takeFlag();
  }

  /** What a step of these variables added. */
  increases(variables: readonly VariableState[]): readonly Increase[] {
    const isMarked = this.#state.arena.takeFlag();
    if (!isMarked && this.#counts.size === 0) return [];
    const old = new Map(this.#counts);
    if (isMarked) { for (const home of new Set(variables.map(({ home }) => home))) this.#countHome(home); }
    return variables.flatMap((variable) => {
      const had = old.get(variable) ?? NONE;
      const has = isMarked
        ? this.#counts.get(variable) ?? NONE
        : had.size === 0
        ? NONE
        : this.#count(variable);
      return [...has].flatMap(([slot, count]) => {
        const before = had.get(slot) ?? 0;
        return count > before ? [{ variable: variable.name, slot: slot || null, count, before }] : [];
      });
    });
  }

  /** Counts those of all variables of a home. Mostly there are none, which one look at each of its regions tells. */
  #countHome({ variables, slots, offset, bytes }: Home): void {
    const { arena } = this.#state;
    const isClean = [offset, ...slots.values()].every((from) => countNonFinite(arena, from, bytes / 4) === 0);
    for (const variable of variables) {
      if (isClean) this.#keep(variable, NONE);
      else this.#count(variable);
    }
  }

  #count(variable: VariableState): Counts {
    const { arena } = this.#state, { count, offset, home, place } = variable;
    const found = new Map<string, number>();
    const slots = home.slots.entries().map(([slot, from]) => [slot, from + place] as const);
    for (const [slot, from] of [["", offset] as const, ...slots]) {
      const bad = countNonFinite(arena, from, count);
      if (bad > 0) found.set(slot, bad);
    }
    this.#keep(variable, found);
    return found;
  }

  #keep(variable: VariableState, counts: Counts): void {
    this.#knownCount += 1 - (this.#known[variable.index] as number);
    this.#known[variable.index] = 1;
    if (counts.size > 0) this.#counts.set(variable, counts);
    else this.#counts.delete(variable);
  }
}
