/**
 * How many losses may wait or be evaluated at a time, and how many numbers they hold together: beyond that they are
 * refused at once.
 */
import { StepwellError } from "../../errors.ts";

interface Limits {
  readonly count: number;
  readonly elements: number;
}

export class Admission {
  readonly #limits: Limits;
  #count = 0;
  #elements = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** A place for a loss that holds so many numbers; the answer gives it back (call it once). Throws busy. */
  enter(elements: number): () => void {
    const { count, elements: elementsMax } = this.#limits;
    // One alone is bounded elsewhere.
    if (this.#count >= count || (this.#count > 0 && this.#elements + elements > elementsMax)) {
      throw new StepwellError(
        "busy",
        `Cannot evaluate this loss: ${this.#count} others with ${this.#elements} numbers are waiting or being ` +
          `evaluated, must leave room among ${count} and ${elementsMax} numbers`,
      );
    }
    this.#count += 1;
    this.#elements += elements;
    return () => {
      this.#count -= 1;
      this.#elements -= elements;
    };
  }
}
