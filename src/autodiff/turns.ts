/**
 * One after the other by name: who minimizes a loss of a run has the run to itself among those who do, so that none
 * computes gradients of variables that another is about to change.
 *
 * Not a lock on the run: gradients that somebody sends are taken meanwhile.
 */
import { StepwellError } from "../errors.ts";

export class Turns {
  readonly #waitingMax: number;
  readonly #last = new Map<string, Promise<void>>();
  #waiting = 0;

  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax;
  }

  /** Waits for all who asked before; the answer ends the turn (call it once). Throws busy. */
  async enter(name: string): Promise<() => void> {
    const before = this.#last.get(name);
    if (before && this.#waiting >= this.#waitingMax) {
      const message = `Cannot evaluate this loss: ${this.#waiting} others wait already, must be fewer`;
      throw new StepwellError("busy", message);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last.set(name, promise);
    this.#waiting += 1;
    await before;
    this.#waiting -= 1;
    return () => {
      if (this.#last.get(name) === promise) this.#last.delete(name);
      resolve();
    };
  }
}
