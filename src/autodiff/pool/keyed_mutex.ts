/**
 * One mutex per name: only one request at a time minimizes a loss of a run, so that none computes gradients for
 * variables that another is about to change.
 *
 * It does not lock the run: the run still accepts gradients from clients. It does not limit the number of waiting
 * requests (admission.ts does).
 */
import { type Releasable, releasable } from "../../releasable.ts";

export class KeyedMutex {
  readonly #last = new Map<string, Promise<void>>();

  /** Acquires the mutex of this name, after all earlier callers have released it. */
  async acquire(name: string): Promise<Releasable> {
    const before = this.#last.get(name);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last.set(name, promise);
    await before;
    return releasable(() => {
      if (this.#last.get(name) === promise) this.#last.delete(name);
      resolve();
    });
  }
}
