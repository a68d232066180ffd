/**
 * Workers that evaluate losses: started when they are first needed, ended when a loss takes too long, so that a hostile
 * one harms nobody. Jobs wait in order of arrival; those of one run never overtake each other (queue.ts is not needed:
 * callers hold a turn).
 *
 * Invariant: a worker has at most one job; a job ends in exactly one answer or refusal.
 */
import { StepwellError } from "../errors.ts";
import type { Evaluation, Job, Reply } from "./messages.ts";

interface Limits {
  readonly workers: number;
  readonly seconds: number;
  /** Jobs that wait for a worker. */
  readonly waiting: number;
}

/** tfjs may take long to load on a busy machine; that is nobody's loss's fault. */
const LOAD_SECONDS_MAX = 120;

interface Task {
  readonly job: Job;
  readonly resolve: (evaluation: Evaluation) => void;
  readonly reject: (error: unknown) => void;
}

export class Evaluators {
  readonly #limits: Limits;
  readonly #queue: Task[] = [];
  readonly #idle: LossWorker[] = [];
  readonly #workers = new Set<LossWorker>();
  #closed = false;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** The loss and its gradients. Throws busy, loss_too_slow, shutting_down, and what evaluating throws. */
  evaluate(job: Job): Promise<Evaluation> {
    if (this.#closed) return Promise.reject(closing());
    if (this.#queue.length >= this.#limits.waiting) {
      const message = `Cannot evaluate this loss: ${this.#queue.length} others wait already, must be fewer`;
      return Promise.reject(new StepwellError("busy", message));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, resolve, reject });
      this.#next();
    });
  }

  /** Ends all workers; who waits for one is refused. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#queue.splice(0)) reject(closing());
    for (const worker of this.#workers) worker.end(closing());
    this.#workers.clear();
  }

  #next(): void {
    if (this.#closed || this.#queue.length === 0) return;
    const worker = this.#idle.pop() ?? this.#start();
    if (!worker) return;
    const { job, resolve, reject } = this.#queue.shift() as Task;
    worker.evaluate(job, this.#limits.seconds).then(resolve, reject).finally(() => {
      if (worker.isAlive) this.#idle.push(worker);
      else this.#workers.delete(worker);
      this.#next();
    });
  }

  #start(): LossWorker | undefined {
    if (this.#workers.size >= this.#limits.workers) return undefined;
    const worker = new LossWorker();
    this.#workers.add(worker);
    return worker;
  }
}

const closing = () =>
  new StepwellError("shutting_down", "Cannot evaluate this loss: the service is about to stop");

/** One worker. */
class LossWorker {
  readonly #worker: Worker;
  #isReady = false;
  #isAlive = true;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #start: (() => void) | undefined;
  #settle: ((reply: Reply) => void) | undefined;
  #fail: ((error: unknown) => void) | undefined;

  constructor() {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), {
      type: "module",
      name: "losses",
      deno: { permissions: "none" },
    });
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if (data.kind !== "ready") return this.#settle?.(data);
      this.#isReady = true;
      this.#start?.();
    };
    // It ran out of memory, or could not be loaded.
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.end(new Error(`The worker that evaluates losses failed: ${event.message}`));
    };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  evaluate(job: Job, seconds: number): Promise<Evaluation> {
    return new Promise<Evaluation>((resolve, reject) => {
      this.#fail = reject;
      this.#settle = (reply) => {
        if (reply.kind === "done") resolve(reply.evaluation);
        else if (reply.kind === "refused") {
          reject(new StepwellError(reply.code, reply.message, reply.issues));
        } else {reject(
            new Error(`A loss could not be evaluated: ${reply.kind === "failed" ? reply.error : ""}`),
          );}
      };
      this.#start = () => {
        clearTimeout(this.#timer);
        this.#limit(seconds, tooSlow(seconds));
        this.#worker.postMessage(job);
      };
      if (this.#isReady) return this.#start();
      this.#limit(LOAD_SECONDS_MAX, new Error(`tfjs did not load within ${LOAD_SECONDS_MAX} s`));
    }).finally(() => {
      clearTimeout(this.#timer);
      this.#start = this.#settle = this.#fail = undefined;
    });
  }

  #limit(seconds: number, error: unknown): void {
    this.#timer = setTimeout(() => this.end(error), seconds * 1000);
  }

  /** Stops it wherever it is. */
  end(error: unknown): void {
    this.#isAlive = false;
    this.#worker.terminate();
    this.#fail?.(error);
  }
}

function tooSlow(seconds: number): StepwellError {
  const message = `takes longer than ${seconds} s, must take at most so long`;
  return new StepwellError("loss_too_slow", `Cannot evaluate the loss: it ${message}`, [{
    path: "loss",
    message,
  }]);
}
