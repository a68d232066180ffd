/**
 * A gate: a semaphore with weights. It bounds how many callers are inside at a time, and their total weight. A caller
 * that does not fit waits in order of arrival, or is refused at once with `busy`.
 *
 * Callers may belong to a client. With a `share`, one client holds at most that part of the places and of the weight,
 * so that the rest is there for others.
 *
 * Invariants: at most `count` callers are inside. Their total weight is at most `weight`, except that a single caller
 * may be heavier: its weight is bounded elsewhere. No caller enters before one that waits, unless that one waits only
 * for others of its own client.
 */
import { StepwellError } from "./errors.ts";
import { type Releasable, releasable } from "./releasable.ts";

/** The callers inside the gate. */
interface Inside {
  readonly count: number;
  readonly weight: number;
}

interface GateOptions {
  readonly count: number;
  /** Absent: no bound. */
  readonly weight?: number;
  /** The part of places and weight that one client may hold, at least one place. Absent: all. */
  readonly share?: number;
  /** How long `acquire` waits before it refuses. Absent: no limit. */
  readonly waitSeconds?: number;
  /** The message of a refusal: what cannot be done, what is inside, and what of the client, if its share is full. */
  readonly refusal: (inside: Inside, own?: Inside) => string;
}

/** What one client has inside, and its callers that wait, in order of arrival. */
interface Client {
  count: number;
  weight: number;
  readonly waiting: Set<Waiting>;
}

interface Waiting {
  readonly weight: number;
  readonly client: string;
  readonly admit: () => void;
}

export class Gate {
  readonly #options: GateOptions;
  readonly #queue = new Set<Waiting>();
  /** Those with a caller inside or waiting. */
  readonly #clients = new Map<string, Client>();
  #count = 0;
  #weight = 0;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** The number of callers inside. */
  get open(): number {
    return this.#count;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /** Enters without waiting. Throws busy. A caller without a client has no share. */
  acquireNow(weight = 0, client = ""): Releasable {
    if (!this.#mayEnter(weight, client)) throw this.#busy(weight, client);
    return this.#enter(weight, client);
  }

  /**
   * Waits for a place and enters. Throws busy after `waitSeconds`, and the signal's reason when it is aborted. Callers
   * without a client have no share.
   */
  async acquire(weight = 0, signal?: AbortSignal, client = ""): Promise<Releasable> {
    signal?.throwIfAborted();
    if (!this.#mayEnter(weight, client)) return await this.#wait(weight, signal, client);
    return this.#enter(weight, client);
  }

  #mayEnter(weight: number, client: string): boolean {
    return this.#fits(weight) && this.#hasShare(weight, client) && !this.#isAnyoneFirst(client);
  }

  #fits(weight: number): boolean {
    const { count, weight: weightMax = Infinity } = this.#options;
    return this.#count < count && (this.#count === 0 || this.#weight + weight <= weightMax);
  }

  /** Whether the client may have one more caller of this weight inside. */
  #hasShare(weight: number, client: string): boolean {
    const { count, weight: weightMax = Infinity, share } = this.#options;
    const inside = this.#clients.get(client);
    if (share === undefined || client === "" || inside === undefined || inside.count === 0) return true;
    return inside.count < Math.max(1, Math.floor(count * share)) &&
      inside.weight + weight <= weightMax * share;
  }

  /** Whether a caller waits for something that others than its own client have, or one of this client waits. */
  #isAnyoneFirst(client: string): boolean {
    if (this.#queue.size === 0) return false;
    if (this.#clients.get(client)?.waiting.size) return true;
    for (const [name, { waiting }] of this.#clients) {
      for (const { weight } of waiting) {
        if (this.#hasShare(weight, name)) return true;
        break;
      }
    }
    return false;
  }

  #enter(weight: number, client: string): Releasable {
    this.#change(client, 1, weight);
    return releasable(() => {
      this.#change(client, -1, -weight);
      this.#admitNext();
    });
  }

  #change(name: string, count: number, weight: number): void {
    this.#count += count;
    this.#weight += weight;
    const client = this.#clientOf(name);
    client.count += count;
    client.weight += weight;
    this.#forget(name, client);
  }

  #clientOf(name: string): Client {
    const known = this.#clients.get(name);
    if (known) return known;
    const client = { count: 0, weight: 0, waiting: new Set<Waiting>() };
    this.#clients.set(name, client);
    return client;
  }

  #forget(name: string, { count, waiting }: Client): void {
    if (count === 0 && waiting.size === 0) this.#clients.delete(name);
  }

  #admitNext(): void {
    /** Clients that have their share: all of their callers keep their order. */
    const full = new Set<string>();
    for (const next of this.#queue) {
      if (full.has(next.client)) continue;
      if (!this.#hasShare(next.weight, next.client)) full.add(next.client);
      else if (this.#fits(next.weight)) next.admit();
      else return;
    }
  }

  #wait(weight: number, signal: AbortSignal | undefined, client: string): Promise<Releasable> {
    const { waitSeconds } = this.#options;
    return new Promise((resolve, reject) => {
      const held = new DisposableStack();
      const waiting: Waiting = {
        weight,
        client,
        admit: () => {
          held.dispose();
          resolve(this.#enter(weight, client));
        },
      };
      const giveUp = (reason: unknown) => {
        held.dispose();
        reject(reason);
        // A heavy caller at the head may have blocked lighter ones that fit.
        this.#admitNext();
      };
      this.#queue.add(waiting);
      const owner = this.#clientOf(client);
      owner.waiting.add(waiting);
      held.defer(() => {
        this.#queue.delete(waiting);
        owner.waiting.delete(waiting);
        this.#forget(client, owner);
      });
      if (waitSeconds !== undefined) {
        const timer = setTimeout(() => giveUp(this.#busy(weight, client)), waitSeconds * 1000);
        held.defer(() => clearTimeout(timer));
      }
      if (signal) {
        const abort = () => giveUp(signal.reason);
        signal.addEventListener("abort", abort);
        held.defer(() => signal.removeEventListener("abort", abort));
      }
    });
  }

  #busy(weight: number, client: string): StepwellError {
    const own = this.#hasShare(weight, client) ? undefined : this.#clients.get(client);
    return new StepwellError(
      "busy",
      this.#options.refusal({ count: this.#count, weight: this.#weight }, own),
    );
  }
}
