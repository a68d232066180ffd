/**
 * One worker that evaluates losses, from this side: a job at a time, each within its time, and an end that comes exactly
 * once, whoever brings it about.
 *
 * Invariant: it is free, or ended, only when its thread has nothing more to do. A job that keeps it busy beyond its time
 * is refused, but nobody else is given its place meanwhile: busy threads cannot be stopped, so their number is bounded.
 */
import { StepwellError } from "../../errors.ts";
import { tooSlow } from "../worker/deadline.ts";
import type { Evaluation, Job, Reply, Request } from "../graph/messages.ts";

/** tfjs may take long to load on a busy machine; that is nobody's loss's fault. */
const LOAD_SECONDS_MAX = 120;
/** It stops by itself when the time is over (deadline.ts), and may take so long to notice. */
const LATE_SECONDS_MAX = 1;

/** Of a worker that goes on: one that a large loss has made larger ends, because its memory never shrinks. */
const HEAP_BYTES_MAX = 256 * 2 ** 20;

interface Listener {
  /** It can be given another job. */
  readonly onFree: () => void;
  readonly onEnd: () => void;
}

export class LossWorker {
  readonly #worker: Worker;
  readonly #listener: Listener;
  #isReady = false;
  #isOver = false;
  /** Its job was refused, and keeps it busy all the same. */
  #isLate = false;
  /** Of loading, of a job, or of having none. */
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

  /** To be called when it is free. Throws loss_too_slow, what evaluating throws, and the reason of an end. */
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

  /** Ends it unless it gets another job within that time. */
  rest(seconds: number): void {
    this.#after(seconds, () => this.end(undefined));
  }

  /** Its job fails with the reason. The thread ends as soon as it waits for messages. */
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
    // Who knows what state it is in.
    if (reply.kind === "failed") return this.end(new Error(`A loss could not be evaluated: ${reply.error}`));
    const job = this.#endJob();
    if (reply.heapBytes > HEAP_BYTES_MAX) this.end(undefined);
    else this.#listener.onFree();
    if (reply.kind === "done") job?.resolve(reply.evaluation);
    else job?.reject(new StepwellError(reply.code, reply.message, reply.issues));
  }

  /** The job that is over now, if there was one. */
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
