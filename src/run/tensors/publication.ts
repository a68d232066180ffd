/**
 * Publishes immutable copies of a version's variables, which all readers of that version share.
 *
 * A variable is copied when it is first requested, at most once per version. Invariant: a copy counts against the
 * memory bound from the time it is made until its version has been superseded and its last reader is done.
 */
import { releasable } from "../../releasable.ts";
import type { NamedTensor } from "../../tensor.ts";
import type { Publication } from "../api/run_session.ts";
import type { Memory } from "./memory.ts";
import type { RunState } from "./state.ts";

interface Version {
  readonly iterations: number;
  readonly version: number;
  readonly copies: Map<string, NamedTensor>;
  /** The copies' shares of the memory bound. */
  readonly counted: DisposableStack;
  readers: number;
  over: boolean;
}

export class Publisher {
  readonly #memory: Memory;
  readonly #state: RunState;
  #current: Version | undefined;

  constructor(memory: Memory, state: RunState) {
    this.#memory = memory;
    this.#state = state;
  }

  /** Copies of the present values of `names`, or of all variables. Throws unknown_variable, out_of_memory. */
  publish(version: number, names?: readonly string[]): Publication {
    const variables = names
      ? [...new Set(names)].map((name) => this.#state.variable(name))
      : [...this.#state.variables.values()];
    const current = this.#current ??= {
      iterations: this.#state.iterations,
      version,
      copies: new Map(),
      counted: new DisposableStack(),
      readers: 0,
      over: false,
    };
    if (!names) this.#copyAll(current);
    for (const variable of variables) {
      if (current.copies.has(variable.name)) continue;
      current.counted.use(this.#memory.publish(4 * variable.count));
      current.copies.set(variable.name, this.#state.copyVariable(variable));
    }
    current.readers += 1;
    return {
      iterations: current.iterations,
      version,
      tensors: variables.map(({ name }) => current.copies.get(name) as NamedTensor),
      ...releasable(() => {
        current.readers -= 1;
        this.#drop(current);
      }),
    };
  }

  /** Small variables that lie side by side are copied together. */
  #copyAll({ counted, copies }: Version): void {
    for (const { variables, bytes, offset } of this.#state.homes) {
      if (variables.length < 2 || variables.every(({ name }) => copies.has(name))) continue;
      counted.use(this.#memory.publish(bytes));
      const all = this.#state.arena.f32(offset, bytes / 4).slice();
      for (const { name, shape, place, count } of variables) {
        if (copies.has(name)) continue;
        copies.set(name, { name, shape, values: all.subarray(place / 4, place / 4 + count) });
      }
    }
  }

  /** Called after a change of state: the next reader gets new copies. */
  invalidate(): void {
    const old = this.#current;
    this.#current = undefined;
    if (!old) return;
    old.over = true;
    this.#drop(old);
  }

  #drop(version: Version): void {
    if (!version.over || version.readers > 0) return;
    version.counted.dispose();
    version.copies.clear();
  }
}
