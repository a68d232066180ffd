/**
 * One worker that evaluates losses, from this side: a job at a time, each within its time, and an end that comes exactly
 * once, whoever brings it about.
 */
import { StepwellError } from "../errors.ts";
import type { Evaluation, Job, Reply } from "./messages.ts";

/** tfjs may take long to load on a busy machine; that is nobody's loss's fault. */
const LOAD_SECONDS_MAX = 120;

export class LossWorker {
  readonly #worker: Worker;
  readonly #onEnd: () => void;
  #isReady = false;
  #isOver = false;
  /** Of loading, of a job, or of having none. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #onReady: (() => void) | undefined;
  #onReply: ((reply: Reply) => void) | undefined;
  #onFailure: ((error: unknown) => void) | undefined;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), {
      type: "module",
      name: "losses",
      deno: { permissions: "none" },
    });
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if (data.kind !== "ready") return this.#onReply?.(data);
      this.#isReady = true;
      this.#onReady?.();
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.end(new Error(`The worker that evaluates losses failed: ${event.message}`));
    };
  }

  /** To be called when the last job is over. Throws loss_too_slow, what evaluating throws, and the reason of an end. */
  async evaluate(job: Job, seconds: number): Promise<Evaluation> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    this.#onReply = resolve;
    this.#onFailure = reject;
    this.#onReady = () => {
      this.#endAfter(seconds, () => tooSlow(seconds));
      this.#worker.postMessage(job);
    };
    if (this.#isReady) this.#onReady();
    else this.#endAfter(LOAD_SECONDS_MAX, () => new Error(`tfjs did not load within ${LOAD_SECONDS_MAX} s`));
    try {
      return evaluationOf(await promise);
    } catch (error) {
      // Who knows what state it is in.
      if (!(error instanceof StepwellError)) this.end(error);
      throw error;
    } finally {
      clearTimeout(this.#timer);
      this.#onReady = this.#onReply = this.#onFailure = undefined;
    }
  }

  /** Ends it unless it gets another job within that time. */
  rest(seconds: number): void {
    this.#endAfter(seconds, () => undefined);
  }

  /** Stops it wherever it is; its job fails with the reason. */
  end(reason: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#worker.terminate();
    this.#onFailure?.(reason);
    this.#onEnd();
  }

  /** An error costs more than a small loss's syntax tree: it is made when it is needed. */
  #endAfter(seconds: number, reason: () => unknown): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.end(reason()), seconds * 1000);
  }
}

function evaluationOf(reply: Reply): Evaluation {
  if (reply.kind === "done") return reply.evaluation;
  if (reply.kind === "refused") throw new StepwellError(reply.code, reply.message, reply.issues);
  throw new Error(`A loss could not be evaluated: ${reply.kind === "failed" ? reply.error : reply.kind}`);
}

function tooSlow(seconds: number): StepwellError {
  const message = `takes longer than ${seconds} s, must take at most so long`;
  return new StepwellError("loss_too_slow", `Cannot evaluate the loss: it ${message}`, [
    { path: "loss", message },
  ]);
}
