/** A builder of straight-line vector code for hand-written kernels; each result gets a local of its own. */
import { type Code, local, V128, type ValueType } from "./wasm.ts";

/** Several builders can share one function's locals: one for the code before a loop, one for the loop's body. */
export class Lines {
  readonly code: number[] = [];
  readonly #locals: ValueType[];
  readonly #firstLocal: number;
  readonly #constants = new Map<string, Code>();

  /** `firstLocal` is the number of the function's parameters. */
  constructor(locals: ValueType[], firstLocal: number) {
    this.#locals = locals;
    this.#firstLocal = firstLocal;
  }

  /** Computes a vector here and returns the code that reads it. */
  keep(value: Code): Code {
    const index = this.#firstLocal + this.#locals.push(V128) - 1;
    this.code.push(...local.set(index, value));
    return local.get(index);
  }

  /** Like {@link keep}, but equal constants are computed once. */
  constant(value: Code): Code {
    const key = value.join();
    let kept = this.#constants.get(key);
    if (!kept) this.#constants.set(key, kept = this.keep(value));
    return kept;
  }
}
