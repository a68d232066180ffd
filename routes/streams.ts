/**
 * How many streams of events are open at a time. One more is refused: a stream may stay for days, so none is waited for.
 *
 * Invariant: `open <= max`.
 */
import { StepwellError } from "../src/errors.ts";

export class Streams {
  readonly #max: number;
  #open = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get open(): number {
    return this.#open;
  }

  /** Takes a place; the answer gives it back (call it once). Throws busy. */
  enter(): () => void {
    if (this.#open >= this.#max) {
      throw new StepwellError(
        "busy",
        `Cannot open a stream of events: ${this.#open} are open, the most allowed`,
      );
    }
    this.#open += 1;
    return () => void (this.#open -= 1);
  }
}
