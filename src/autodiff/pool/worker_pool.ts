/**
 * A pool of workers that evaluate losses. Workers start on demand and end when they are idle or failed. The next job
 * is that of the waiting client served longest ago, so that a client's slow losses do not block others. The wait is
 * limited; admission.ts limits the number of waiting jobs.
 *
 * Invariant: the number of threads never exceeds the limit, including threads that a refused loss keeps busy; a
 * worker has at most one job; a job ends with exactly one result or error.
 */
import { BoundedMap } from "../../../kernels/bounded_map.ts";
import { StepwellError } from "../../errors.ts";
import { LossWorker } from "./loss_worker.ts";
import type { Evaluation, Job } from "../graph/messages.ts";

interface Limits {
  readonly workers: number;
  readonly seconds: number;
  /** A worker ends after this time without a job, because tfjs never returns memory. */
  readonly idleSeconds: number;
}

/** Refuse a loss that would wait longer than this many full time limits. */
const AHEAD_MAX = 6;

/** The number of clients whose last service is remembered. */
const SERVED_MAX = 1024;

interface Task {
  readonly job: Job;
  /** The id of the run. */
  readonly client: string;
  readonly resolve: (evaluation: Promise<Evaluation>) => void;
  readonly reject: (error: unknown) => void;
  /** Limits the wait. */
  readonly timer: ReturnType<typeof setTimeout>;
}

export class WorkerPool {
  readonly #limits: Limits;
  /** In order of arrival. */
  readonly #queue = new Set<Task>();
  /** Recently served clients, the latest last. */
  readonly #served = new BoundedMap<string, true>(SERVED_MAX);
  readonly #workers = new Set<LossWorker>();
  readonly #idle = new Set<LossWorker>();
  #closed = false;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Evaluates a loss and its gradients. Throws busy, loss_too_slow, shutting_down, and the errors of evaluating. */
  evaluate(job: Job, client: string): Promise<Evaluation> {
    if (this.#closed) return Promise.reject(closing());
    return new Promise((resolve, reject) => {
      const seconds = AHEAD_MAX * this.#limits.seconds;
      const task: Task = {
        job,
        client,
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

  /** Ends all workers and refuses waiting jobs. */
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
    const task = this.#nextTask();
    if (!task) return;
    const worker = this.#idle.values().next().value ?? this.#start();
    if (!worker) return;
    this.#idle.delete(worker);
    this.#queue.delete(task);
    clearTimeout(task.timer);
    this.#serve(task.client);
    task.resolve(worker.evaluate(task.job, this.#limits.seconds));
  }

  #nextTask(): Task | undefined {
    const waiting = new Map<string, Task>();
    for (const task of this.#queue) if (!waiting.has(task.client)) waiting.set(task.client, task);
    for (const [client, task] of waiting) if (!this.#served.has(client)) return task;
    for (const client of this.#served.keys()) if (waiting.has(client)) return waiting.get(client);
    return undefined;
  }

  #serve(client: string): void {
    this.#served.delete(client);
    this.#served.set(client, true);
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
