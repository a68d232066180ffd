/**
 * One after the other by name: who minimizes a loss of a run has the run to itself among those who do, so that none
 * computes gradients of variables that another is about to change.
 *
 * Not a lock on the run: gradients that somebody sends are taken meanwhile. No bound either (admission.ts).
 */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Waits for all who asked before; the answer ends the turn (call it once). */
  async enter(name: string): Promise<() => void> {
    const before = this.#last.get(name);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last.set(name, promise);
    await before;
    return () => {
      if (this.#last.get(name) === promise) this.#last.delete(name);
      resolve();
    };
  }
}
