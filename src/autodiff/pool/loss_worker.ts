/**
 * The service's handle of one worker that evaluates losses: one job at a time, each with a time limit. The worker
 * ends exactly once, for whatever reason.
 *
 * Invariant: it reports itself free or ended only when its thread has nothing more to do. A job that exceeds its time
 * is refused, but its worker stays in the pool while the thread is busy: a busy thread cannot be stopped, so the
 * number of threads must stay bounded.
 */
import { StepwellError } from "../../errors.ts";
import { tooSlow } from "../worker/deadline.ts";
import type { Evaluation, Job, Reply, Request } from "../graph/messages.ts";

/** The time for loading tfjs on a busy machine; it does not count against a loss. */
const LOAD_SECONDS_MAX = 120;
/** The worker stops a job at its deadline by itself (deadline.ts), and may notice the deadline this late. */
const LATE_SECONDS_MAX = 1;

/** A worker whose heap is larger than this after a loss ends, because its memory never shrinks. */
const HEAP_BYTES_MAX = 256 * 2 ** 20;

interface Listener {
  /** The worker can take another job. */
  readonly onFree: () => void;
  readonly onEnd: () => void;
}

export class LossWorker {
  readonly #worker: Worker;
  readonly #listener: Listener;
  #isReady = false;
  #isOver = false;
  /** Its job was refused but still keeps the thread busy. */
  #isLate = false;
  /** The timer for loading, for a job, or for being idle. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #onReady: (() => void) | undefined;
  #resolve: ((evaluation: Evaluation) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;

  constructor(listener: Listener) {
    this.#listener = listener;
    this.#worker = new Worker(new URL("../worker/worker.ts", import.meta.url), {
      type: "module",
      name: "losses",
      deno: { permissions: "none" },
    });
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if (data.kind !== "ready") return this.#take(data);
      this.#isReady = true;
      this.#onReady?.();
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.end(new Error(`The worker that evaluates losses failed: ${event.message}`));
    };
  }

  /** Call only when it is free. Throws loss_too_slow, the errors of evaluating, and the reason of {@link end}. */
  evaluate(job: Job, seconds: number): Promise<Evaluation> {
    const { promise, resolve, reject } = Promise.withResolvers<Evaluation>();
    this.#resolve = resolve;
    this.#reject = reject;
    this.#onReady = () => {
      this.#onReady = undefined;
      this.#after(seconds + LATE_SECONDS_MAX, () => {
        this.#isLate = true;
        this.#endJob()?.reject(tooSlow(seconds));
      });
      this.#worker.postMessage({ job, seconds } satisfies Request);
    };
    if (this.#isReady) this.#onReady();
    else this.#after(LOAD_SECONDS_MAX, () => this.end(unloaded()));
    return promise;
  }

  /** Ends the worker unless it gets another job within this time. */
  rest(seconds: number): void {
    this.#after(seconds, () => this.end(undefined));
  }

  /** Ends the worker; its job fails with the reason. The thread ends as soon as it waits for messages. */
  end(reason: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const job = this.#endJob();
    this.#worker.terminate();
    job?.reject(reason);
    this.#listener.onEnd();
  }

  #take(reply: Exclude<Reply, { kind: "ready" }>): void {
    if (this.#isLate) return this.end(undefined);
    // The state of the worker is unknown.
    if (reply.kind === "failed") return this.end(new Error(`A loss could not be evaluated: ${reply.error}`));
    const job = this.#endJob();
    if (reply.heapBytes > HEAP_BYTES_MAX) this.end(undefined);
    else this.#listener.onFree();
    if (reply.kind === "done") job?.resolve(reply.evaluation);
    else job?.reject(new StepwellError(reply.code, reply.message, reply.issues));
  }

  /** Clears and returns the current job, if there is one. */
  #endJob() {
    clearTimeout(this.#timer);
    const resolve = this.#resolve, reject = this.#reject;
    this.#resolve = this.#reject = undefined;
    return resolve && reject && { resolve, reject };
  }

  #after(seconds: number, act: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, seconds * 1000);
  }
}

const unloaded = () => new Error(`tfjs did not load within ${LOAD_SECONDS_MAX} s`);
