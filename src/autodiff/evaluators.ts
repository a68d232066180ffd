/**
 * Workers that evaluate losses: started when they are first needed, ended when a loss takes too long, so that a hostile
 * one harms nobody. Jobs wait in order of arrival; how many may wait is said elsewhere (admission.ts).
 *
 * Invariant: a worker has at most one job; a job ends in exactly one answer or refusal.
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

interface Task {
  readonly job: Job;
  readonly resolve: (evaluation: Promise<Evaluation>) => void;
  readonly reject: (error: unknown) => void;
}

export class Evaluators {
  readonly #limits: Limits;
  readonly #queue: Task[] = [];
  readonly #workers = new Set<LossWorker>();
  readonly #idle = new Set<LossWorker>();
  #closed = false;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** The loss and its gradients. Throws loss_too_slow, shutting_down, and what evaluating throws. */
  evaluate(job: Job): Promise<Evaluation> {
    if (this.#closed) return Promise.reject(closing());
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
  }

  #next(): void {
    if (this.#queue.length === 0) return;
    const worker = this.#idle.values().next().value ?? this.#start();
    if (!worker) return;
    this.#idle.delete(worker);
    const { job, resolve } = this.#queue.shift() as Task;
    resolve(worker.evaluate(job, this.#limits.seconds).finally(() => this.#rest(worker)));
  }

  #rest(worker: LossWorker): void {
    if (!this.#workers.has(worker)) return;
    this.#idle.add(worker);
    worker.rest(this.#limits.idleSeconds);
    this.#next();
  }

  #start(): LossWorker | undefined {
    if (this.#workers.size >= this.#limits.workers) return undefined;
    const worker: LossWorker = new LossWorker(() => {
      this.#workers.delete(worker);
      this.#idle.delete(worker);
      this.#next();
    });
    this.#workers.add(worker);
    return worker;
  }
}

const closing = () =>
  new StepwellError("shutting_down", "Cannot evaluate this loss: the service is about to stop");
