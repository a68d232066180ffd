/**
 * How many requests of a kind may be open at a time: streams of events, requests that wait. One more is refused: they may
 * stay for long, so none is waited for.
 *
 * Invariant: `open <= max`.
 */
import { StepwellError } from "../../src/errors.ts";

export class Places {
  readonly #max: number;
  readonly #purpose: string;
  #open = 0;

  /** `purpose` is what who gets no place cannot do. */
  constructor(purpose: string, max: number) {
    this.#purpose = purpose;
    this.#max = max;
  }

  get open(): number {
    return this.#open;
  }

  /** Takes a place; the answer gives it back (call it once). Throws busy. */
  enter(): () => void {
    if (this.#open >= this.#max) {
      throw new StepwellError("busy", `Cannot ${this.#purpose}: ${this.#open} others do, the most allowed`);
    }
    this.#open += 1;
    return () => void (this.#open -= 1);
  }
}

/** The places of a service, as its settings say. */
export const placesOf = (
  settings: { readonly STEPWELL_EVENT_STREAMS_MAX: number; readonly STEPWELL_WAITS_MAX: number },
) => ({
  streams: new Places("read a stream of events", settings.STEPWELL_EVENT_STREAMS_MAX),
  waits: new Places("wait for what is not there yet", settings.STEPWELL_WAITS_MAX),
});
