/**
 * Backpressure: how many bodies, and how many declared bytes of them, are read at a time. What does not fit waits
 * in order of arrival with its body unread, and is refused with `busy` when its time is over.
 *
 * Invariant: `open <= limits.count`, and `bytes <= limits.bytes` unless exactly one body is being read.
 */
import { StepwellError } from "../../src/errors.ts";

interface Limits {
  readonly count: number;
  readonly bytes: number;
  readonly waitSeconds: number;
}

interface Waiting {
  readonly bytes: number;
  readonly admit: () => void;
}

export class Uploads {
  readonly #limits: Limits;
  readonly #queue: Waiting[] = [];
  #open = 0;
  #bytes = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get open(): number {
    return this.#open;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** Waits for a place for a body of `bytes` declared bytes; the answer gives the place back (call it once). */
  async enter(bytes: number): Promise<() => void> {
    if (this.#queue.length > 0 || !this.#fits(bytes)) await this.#wait(bytes);
    else this.#take(bytes);
    return () => {
      this.#open -= 1;
      this.#bytes -= bytes;
      this.#admitNext();
    };
  }

  #fits(bytes: number): boolean {
    if (this.#open === 0) return true;
    return this.#open < this.#limits.count && this.#bytes + bytes <= this.#limits.bytes;
  }

  #take(bytes: number): void {
    this.#open += 1;
    this.#bytes += bytes;
  }

  #admitNext(): void {
    for (let next = this.#queue[0]; next !== undefined && this.#fits(next.bytes); next = this.#queue[0]) {
      this.#queue.shift();
      this.#take(next.bytes);
      next.admit();
    }
  }

  #wait(bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        bytes,
        admit: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      const timer = setTimeout(() => {
        reject(this.#tooBusy());
        this.#queue.splice(this.#queue.indexOf(waiting), 1);
        // A large body at the head may have held back smaller ones that fit.
        this.#admitNext();
      }, this.#limits.waitSeconds * 1000);
      this.#queue.push(waiting);
    });
  }

  #tooBusy(): StepwellError {
    const { count, bytes, waitSeconds } = this.#limits;
    return new StepwellError(
      "busy",
      `Cannot read this body: after ${waitSeconds} s ${this.#open} others with ${this.#bytes} bytes are being read, ` +
        `must leave room among ${count} and ${bytes} bytes`,
    );
  }
}
