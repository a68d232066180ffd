/**
 * One mutex for each name: only one request at a time minimizes a loss of a run, so that none computes gradients of
 * variables that another is about to change.
 *
 * It does not lock the run: gradients that clients send are taken meanwhile. It bounds nothing either (admission.ts).
 */
import { type Releasable, releasable } from "../../releasable.ts";

export class KeyedMutex {
  readonly #last = new Map<string, Promise<void>>();

  /** The mutex of this name, once all that asked for it before have released it. */
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
