/**
 * A gate: a semaphore with weights. It bounds how many callers are inside at a time, and their total weight. A caller
 * that does not fit waits in order of arrival, or is refused at once with `busy`.
 *
 * Invariants: at most `count` callers are inside. Their total weight is at most `weight`, except that a single caller
 * may be heavier: its weight is bounded elsewhere. No caller enters before one that waits.
 */
import { StepwellError } from "./errors.ts";
import { type Releasable, releasable } from "./releasable.ts";

/** The callers inside the gate. */
interface Inside {
  readonly count: number;
  readonly weight: number;
}

interface GateOptions {
  readonly count: number;
  /** Absent: no bound. */
  readonly weight?: number;
  /** How long `acquire` waits before it refuses. Absent: no limit. */
  readonly waitSeconds?: number;
  /** The message of a refusal: what cannot be done, and what is inside. */
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

  /** The number of callers inside. */
  get open(): number {
    return this.#count;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /** Enters without waiting. Throws busy. */
  acquireNow(weight = 0): Releasable {
    if (this.#queue.size > 0 || !this.#fits(weight)) throw this.#busy();
    return this.#enter(weight);
  }

  /** Waits for a place and enters. Throws busy after `waitSeconds`, and the signal's reason when it is aborted. */
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
        // A heavy caller at the head may have blocked lighter ones that fit.
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
