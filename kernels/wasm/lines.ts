/** Vector instructions in order, each result in a local of its own, for kernels that are written by hand. */
import { type Code, local, V128, type ValueType } from "./wasm.ts";

/** Several can fill one function's locals: what is done once, and what a loop repeats. */
export class Lines {
  readonly code: number[] = [];
  readonly #locals: ValueType[];
  readonly #firstLocal: number;
  readonly #constants = new Map<string, Code>();

  /** `firstLocal`: the number of the function's parameters. */
  constructor(locals: ValueType[], firstLocal: number) {
    this.#locals = locals;
    this.#firstLocal = firstLocal;
  }

  /** Computes a vector here, and gives what reads it. */
  keep(value: Code): Code {
    const index = this.#firstLocal + this.#locals.push(V128) - 1;
    this.code.push(...local.set(index, value));
    return local.get(index);
  }

  /** The same for a constant, which is computed once however often it is asked for. */
  constant(value: Code): Code {
    const key = value.join();
    let kept = this.#constants.get(key);
    if (!kept) this.#constants.set(key, kept = this.keep(value));
    return kept;
  }
}
