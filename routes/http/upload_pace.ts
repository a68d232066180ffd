/**
 * Watches how fast a body arrives. One that is too slow is given up while others wait for its place, and every body
 * after STEPWELL_UPLOAD_SECONDS.
 */
import type { Settings } from "../../src/config.ts";
import { StepwellError } from "../../src/errors.ts";

/** So long, any pace will do: connections start slowly. */
const GRACE_SECONDS = 5;
const LOOK_SECONDS = 0.5;

export interface PaceOptions {
  readonly settings: Settings;
  /** The Content-Length, if there is one. */
  readonly declared: number | undefined;
  /** Milliseconds, from a monotonic clock. */
  readonly now: () => number;
  /** Whether other bodies wait for a place. */
  readonly isAwaited: () => boolean;
}

export class UploadPace implements Disposable {
  readonly #options: PaceOptions;
  readonly #slow = new AbortController();
  #began: number;
  /** Undefined while nothing is known: a small body is read at once. */
  #received: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: PaceOptions) {
    this.#options = options;
    this.#began = options.now();
    this.#lookAfter(GRACE_SECONDS);
  }

  /** Aborted with body_timeout when the body is too slow. */
  get signal(): AbortSignal {
    return this.#slow.signal;
  }

  readonly received = (bytes: number): void => void (this.#received = (this.#received ?? 0) + bytes);

  /** Time in which the service did not read does not count. */
  async excuse<T>(wait: Promise<T>): Promise<T> {
    const { now } = this.#options, paused = now();
    clearTimeout(this.#timer);
    try {
      return await wait;
    } finally {
      this.#began += now() - paused;
      this.#lookAfter(LOOK_SECONDS);
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #lookAfter(seconds: number): void {
    const left = this.#options.settings.STEPWELL_UPLOAD_SECONDS - this.#elapsed();
    this.#timer = setTimeout(() => this.#look(), 1000 * Math.max(0, Math.min(seconds, left)));
  }

  #elapsed(): number {
    return (this.#options.now() - this.#began) / 1000;
  }

  #look(): void {
    const { settings, declared = 0, isAwaited } = this.#options;
    const { STEPWELL_UPLOAD_SECONDS: secondsMax, STEPWELL_UPLOAD_BYTES_PER_SECOND_MIN: pace } = settings;
    const elapsed = this.#elapsed();
    // Timers may ring a little early.
    if (elapsed > secondsMax - 0.001) {
      return this.#giveUp(`must arrive within ${secondsMax} s`);
    }
    const received = this.#received ?? declared;
    if (elapsed >= GRACE_SECONDS - 0.001 && received < pace * elapsed && isAwaited()) {
      return this.#giveUp(`must have ${pace} bytes a second while others wait for its place`);
    }
    this.#lookAfter(LOOK_SECONDS);
  }

  #giveUp(problem: string): void {
    this.#slow.abort(
      new StepwellError("body_timeout", `Cannot wait for the rest of the body: it ${problem}`),
    );
  }
}
