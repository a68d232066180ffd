/**
 * One mutex for each name: only one request at a time minimizes a loss of a run, so that none computes gradients of
 * variables that another is about to change.
 *
 * It does not lock the run: gradients that clients send are taken meanwhile. It bounds nothing either (admission.ts).
 */
export class KeyedMutex {
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
