/**
 * How many numbers of each variable and slot are not finite, so that a step can tell what it added.
 *
 * Kernels mark the arena when they store such a number (kernels/compiler/stores.ts); only then, and where such numbers
 * are known, anything is counted. Invariant: between two changes the counts are exact or unknown. They follow from the
 * values alone, so a replay, or a run that was read from the disk, tells the same.
 */
import { countNonFinite } from "../../../kernels/routines/non_finite.ts";
import type { RunState, VariableState } from "../tensors/state.ts";

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
  /** The variables whose counts are known, and the counts that are not all 0. */
  readonly #known = new Set<VariableState>();
  readonly #counts = new Map<VariableState, Counts>();

  constructor(state: RunState) {
    this.#state = state;
  }

  /** Forgets the counts of variables whose values, or whose slots, were set. */
  forget(variables: Iterable<VariableState>): void {
    for (const variable of variables) {
      this.#known.delete(variable);
      this.#counts.delete(variable);
    }
  }

  /** Makes the counts of variables known, and clears the arena's mark. Called before a step changes the variables. */
  prepare(variables: readonly VariableState[]): void {
    if (this.#known.size < this.#state.variables.size) {
      for (const variable of variables) if (!this.#known.has(variable)) this.#count(variable);
    }
    this.#state.arena.takeFlag();
  }

  /** What a step of these variables added. */
  increases(variables: readonly VariableState[]): readonly Increase[] {
    const isMarked = this.#state.arena.takeFlag();
    if (!isMarked && this.#counts.size === 0) return [];
    return variables.flatMap((variable) => {
      const old = this.#counts.get(variable) ?? NONE;
      if (!isMarked && old.size === 0) return [];
      return [...this.#count(variable)].flatMap(([slot, count]) => {
        const before = old.get(slot) ?? 0;
        return count > before ? [{ variable: variable.name, slot: slot || null, count, before }] : [];
      });
    });
  }

  #count(variable: VariableState): Counts {
    const { arena } = this.#state, { count, offset, slots } = variable;
    const found = new Map<string, number>();
    for (const [slot, from] of [["", offset] as const, ...slots]) {
      const bad = countNonFinite(arena, from, count);
      if (bad > 0) found.set(slot, bad);
    }
    this.#known.add(variable);
    if (found.size > 0) this.#counts.set(variable, found);
    else this.#counts.delete(variable);
    return found;
  }
}
