/**
 * Workers that evaluate losses: started when they are first needed, ended when they have none or failed. Of those who
 * wait, the one who has been served longest ago comes next, so that nobody's slow losses keep others out; nobody waits
 * for ever, and how many may wait is said elsewhere (admission.ts).
 *
 * Invariant: there are at most so many threads, those included that a loss keeps busy after it was refused; a worker has
 * at most one job; a job ends in exactly one answer or refusal.
 */
import { BoundedMap } from "../../../kernels/bounded_map.ts";
import { StepwellError } from "../../errors.ts";
import { LossWorker } from "./loss_worker.ts";
import type { Evaluation, Job } from "../graph/messages.ts";

interface Limits {
  readonly workers: number;
  readonly seconds: number;
  /** After so long without a job a worker ends: tfjs never gives memory back. */
  readonly idleSeconds: number;
}

/** So many losses that take all their time may go before; who would wait longer is refused. */
const AHEAD_MAX = 6;

/** Clients whose last jobs are remembered. */
const SERVED_MAX = 1024;

interface Task {
  readonly job: Job;
  /** Who asks: a run. */
  readonly client: string;
  readonly resolve: (evaluation: Promise<Evaluation>) => void;
  readonly reject: (error: unknown) => void;
  /** Of waiting. */
  readonly timer: ReturnType<typeof setTimeout>;
}

export class WorkerPool {
  readonly #limits: Limits;
  /** In order of arrival. */
  readonly #queue = new Set<Task>();
  /** Who was served lately, the latest last. */
  readonly #served = new BoundedMap<string, true>(SERVED_MAX);
  readonly #workers = new Set<LossWorker>();
  readonly #idle = new Set<LossWorker>();
  #closed = false;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** The loss and its gradients. Throws busy, loss_too_slow, shutting_down, and what evaluating throws. */
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
