/**
 * A gate bounds how many may be inside at a time, and how much they may weigh together. Whoever does not fit waits in order
 * of arrival, or is refused at once with `busy`.
 *
 * Invariants: at most `count` are inside, and together they weigh at most `weight`, unless one of them is alone: how much
 * one may weigh is bounded elsewhere. Nobody enters before somebody who waits.
 */
import { StepwellError } from "./errors.ts";
import { type Releasable, releasable } from "./releasable.ts";

/** Those who are inside. */
interface Inside {
  readonly count: number;
  readonly weight: number;
}

interface GateOptions {
  readonly count: number;
  /** Absent: any. */
  readonly weight?: number;
  /** How long `acquire` waits before it refuses; absent: until there is a place. */
  readonly waitSeconds?: number;
  /** The message of a refusal: what cannot be done, and who is inside. */
  readonly refusal: (inside: Inside) => string;
}

interface Waiting {
  readonly weight: number;
  readonly admit: () => void;
}

export class Gate {
  readonly #options: GateOptions;
  readonly #queue = new Set<Waiting>();
  #count = 0;
  #weight = 0;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** How many are inside. */
  get open(): number {
    return this.#count;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /** A place, if there is one at once. Throws busy. */
  acquireNow(weight = 0): Releasable {
    if (this.#queue.size > 0 || !this.#fits(weight)) throw this.#busy();
    return this.#enter(weight);
  }

  /** A place, as soon as there is one. Throws busy when the time is over, and the signal's reason. */
  async acquire(weight = 0, signal?: AbortSignal): Promise<Releasable> {
    signal?.throwIfAborted();
    if (this.#queue.size > 0 || !this.#fits(weight)) return await this.#wait(weight, signal);
    return this.#enter(weight);
  }

  #fits(weight: number): boolean {
    const { count, weight: weightMax = Infinity } = this.#options;
    return this.#count < count && (this.#count === 0 || this.#weight + weight <= weightMax);
  }

  #enter(weight: number): Releasable {
    this.#count += 1;
    this.#weight += weight;
    return releasable(() => {
      this.#count -= 1;
      this.#weight -= weight;
      this.#admitNext();
    });
  }

  #admitNext(): void {
    for (const next of this.#queue) {
      if (!this.#fits(next.weight)) return;
      this.#queue.delete(next);
      next.admit();
    }
  }

  #wait(weight: number, signal: AbortSignal | undefined): Promise<Releasable> {
    const { waitSeconds } = this.#options;
    return new Promise((resolve, reject) => {
      const held = new DisposableStack();
      const waiting: Waiting = {
        weight,
        admit: () => {
          held.dispose();
          resolve(this.#enter(weight));
        },
      };
      const giveUp = (reason: unknown) => {
        held.dispose();
        reject(reason);
        this.#queue.delete(waiting);
        // A heavy one at the head may have held back lighter ones that fit.
        this.#admitNext();
      };
      this.#queue.add(waiting);
      if (waitSeconds !== undefined) {
        const timer = setTimeout(() => giveUp(this.#busy()), waitSeconds * 1000);
        held.defer(() => clearTimeout(timer));
      }
      if (signal) {
        const abort = () => giveUp(signal.reason);
        signal.addEventListener("abort", abort);
        held.defer(() => signal.removeEventListener("abort", abort));
      }
    });
  }

  #busy(): StepwellError {
    return new StepwellError("busy", this.#options.refusal({ count: this.#count, weight: this.#weight }));
  }
}
