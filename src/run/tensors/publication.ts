/**
 * Publishes immutable copies of a version's variables, which all readers of that version share.
 *
 * A variable is copied when it is first requested, at most once per version. All variables together are copied as they
 * lie in a file, so that they can be sent as they are. Invariant: a copy counts against the memory bound from the time
 * it is made until its version has been superseded and its last reader is done.
 */
import { releasable } from "../../releasable.ts";
import { atOnce } from "../../slices.ts";
import type { NamedTensor } from "../../tensor.ts";
import { FileLayout } from "../../wire/file_layout.ts";
import type { Publication } from "../api/run_session.ts";
import type { Memory } from "./memory.ts";
import type { RunState } from "./state.ts";
import { type Order, Whole } from "./whole.ts";

interface Version {
  readonly iterations: number;
  readonly version: number;
  readonly copies: Map<string, NamedTensor>;
  /** All variables, if nobody had asked for some of them before. */
  whole: Whole | undefined;
  /** The copies' shares of the memory bound. */
  readonly counted: DisposableStack;
  readers: number;
  over: boolean;
}

export class Publisher {
  readonly #memory: Memory;
  readonly #state: RunState;
  #order: Order | undefined;
  #current: Version | undefined;

  constructor(memory: Memory, state: RunState) {
    this.#memory = memory;
    this.#state = state;
  }

  /** Lays out the file of all variables, in pieces: to be done before the first publication of many. */
  *layingOut(): Generator<number, Order> {
    if (this.#order) return this.#order;
    const variables = [...this.#state.variables.values()];
    return this.#order = { variables, layout: yield* FileLayout.making(variables) };
  }

  /** Copies of the present values of `names`, or of all variables. Throws unknown_variable, out_of_memory. */
  publish(version: number, names?: readonly string[]): Publication {
    const current = this.#current ??= {
      iterations: this.#state.iterations,
      version,
      copies: new Map(),
      whole: undefined,
      counted: new DisposableStack(),
      readers: 0,
      over: false,
    };
    const { iterations } = current;
    const whole = names ? undefined : this.#whole(current);
    const tensors = whole ? undefined : this.#copies(current, names);
    current.readers += 1;
    return {
      iterations,
      version,
      get tensors() {
        return tensors ?? (whole as Whole).tensors;
      },
      file: whole,
      ...releasable(() => {
        current.readers -= 1;
        this.#drop(current);
      }),
    };
  }

  /** All variables as they lie in a file; undefined: some have copies already. */
  #whole(current: Version): Whole | undefined {
    if (current.whole) return current.whole;
    if (current.copies.size > 0) return undefined;
    const order = atOnce(this.layingOut());
    current.counted.use(this.#memory.publish(order.layout.dataBytes));
    return current.whole = new Whole(this.#state, order);
  }

  #copies(current: Version, names: readonly string[] | undefined): readonly NamedTensor[] {
    const variables = names
      ? [...new Set(names)].map((name) => this.#state.variable(name))
      : [...this.#state.variables.values()];
    return variables.map((variable) => {
      const found = current.copies.get(variable.name) ?? current.whole?.tensor(variable.name);
      if (found) return found;
      current.counted.use(this.#memory.publish(4 * variable.count));
      const copy = this.#state.copyVariable(variable);
      current.copies.set(variable.name, copy);
      return copy;
    });
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
    version.whole = undefined;
  }
}
