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
  /** Whether other bodies wait for a place. */
  readonly isAwaited: () => boolean;
}

export class UploadPace implements Disposable {
  readonly #options: PaceOptions;
  readonly #slow = new AbortController();
  /** Seconds of reading, counted by timers. */
  #elapsed = 0;
  /** Undefined while nothing is known: a small body is read at once. */
  #received: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: PaceOptions) {
    this.#options = options;
    this.#lookAfter(GRACE_SECONDS);
  }

  /** Aborted with body_timeout when the body is too slow. */
  get signal(): AbortSignal {
    return this.#slow.signal;
  }

  readonly received = (bytes: number): void => void (this.#received = (this.#received ?? 0) + bytes);

  /** Time in which the service did not read does not count. */
  async excuse<T>(wait: Promise<T>): Promise<T> {
    clearTimeout(this.#timer);
    try {
      return await wait;
    } finally {
      this.#lookAfter(LOOK_SECONDS);
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #lookAfter(seconds: number): void {
    const left = this.#options.settings.STEPWELL_UPLOAD_SECONDS - this.#elapsed;
    const delay = Math.min(seconds, left);
    this.#timer = setTimeout(() => {
      this.#elapsed += delay;
      this.#look();
    }, 1000 * delay);
  }

  #look(): void {
    const { settings, declared = 0, isAwaited } = this.#options;
    const { STEPWELL_UPLOAD_SECONDS: secondsMax, STEPWELL_UPLOAD_BYTES_PER_SECOND_MIN: pace } = settings;
    if (this.#elapsed >= secondsMax) return this.#giveUp(`must arrive within ${secondsMax} s`);
    const received = this.#received ?? declared;
    if (this.#elapsed >= GRACE_SECONDS && received < pace * this.#elapsed && isAwaited()) {
      return this.#giveUp(`must have ${pace} bytes a second while others wait for a place`);
    }
    this.#lookAfter(LOOK_SECONDS);
  }

  #giveUp(problem: string): void {
    this.#slow.abort(
      new StepwellError("body_timeout", `Cannot wait for the rest of the body: it ${problem}`),
    );
  }
}
