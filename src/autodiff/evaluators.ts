/**
 * Workers that evaluate losses: started when they are first needed, ended when they have none or failed. Jobs wait in
 * order of arrival, but not for ever; how many may wait is said elsewhere (admission.ts).
 *
 * Invariant: there are at most so many threads, those included that a loss keeps busy after it was refused; a worker has
 * at most one job; a job ends in exactly one answer or refusal.
 */
import { StepwellError } from "../errors.ts";
import { LossWorker } from "./loss_worker.ts";
import type { Evaluation, Job } from "./messages.ts";

interface Limits {
  readonly workers: number;
  readonly seconds: number;
  /** After so long without a job a worker ends: tfjs never gives memory back. */
  readonly idleSeconds: number;
}

/** So many losses that take all their time may go before; who would wait longer is refused. */
const AHEAD_MAX = 6;

interface Task {
  readonly job: Job;
  readonly resolve: (evaluation: Promise<Evaluation>) => void;
  readonly reject: (error: unknown) => void;
  /** Of waiting. */
  readonly timer: ReturnType<typeof setTimeout>;
}

export class Evaluators {
  readonly #limits: Limits;
  readonly #queue = new Set<Task>();
  readonly #workers = new Set<LossWorker>();
  readonly #idle = new Set<LossWorker>();
  #closed = false;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** The loss and its gradients. Throws busy, loss_too_slow, shutting_down, and what evaluating throws. */
  evaluate(job: Job): Promise<Evaluation> {
    if (this.#closed) return Promise.reject(closing());
    return new Promise((resolve, reject) => {
      const seconds = AHEAD_MAX * this.#limits.seconds;
      const task: Task = {
        job,
        resolve,
        reject,
        timer: setTimeout(() => {
          this.#queue.delete(task);
          reject(crowded(seconds));
        }, seconds * 1000),
      };
      this.#queue.add(task);
      this.#next();
    });
  }

  /** Ends all workers; who waits for one is refused. */
  close(): void {
    this.#closed = true;
    for (const { reject, timer } of this.#queue) {
      clearTimeout(timer);
      reject(closing());
    }
    this.#queue.clear();
    for (const worker of this.#workers) worker.end(closing());
  }

  #next(): void {
    const [task] = this.#queue;
    if (!task) return;
    const worker = this.#idle.values().next().value ?? this.#start();
    if (!worker) return;
    this.#idle.delete(worker);
    this.#queue.delete(task);
    clearTimeout(task.timer);
    task.resolve(worker.evaluate(task.job, this.#limits.seconds));
  }

  #start(): LossWorker | undefined {
    if (this.#workers.size >= this.#limits.workers) return undefined;
    const worker: LossWorker = new LossWorker({
      onFree: () => {
        this.#idle.add(worker);
        worker.rest(this.#limits.idleSeconds);
        this.#next();
      },
      onEnd: () => {
        this.#workers.delete(worker);
        this.#idle.delete(worker);
        this.#next();
      },
    });
    this.#workers.add(worker);
    return worker;
  }
}

const closing = () =>
  new StepwellError("shutting_down", "Cannot evaluate this loss: the service is about to stop");

const crowded = (seconds: number) =>
  new StepwellError(
    "busy",
    `Cannot evaluate this loss: others kept it waiting for ${seconds} s, must find a place sooner`,
  );
