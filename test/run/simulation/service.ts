/**
 * The service under simulation: a registry on a disk in memory, which dies, restarts, runs out of room and forgets what
 * was not flushed, in virtual time.
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { Arena } from "../../../kernels/arena.ts";
import { runCompiled } from "../../../kernels/compiler/runner.ts";
import { StepwellError } from "../../../src/errors.ts";
import { type Releasable, releasable } from "../../../src/releasable.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { type Disk, NO_SPACE } from "../../store/support/disk.ts";
import { newWorld, type World } from "../support/stored.ts";
import { Clock } from "./clock.ts";
import { Ledger, type Moment } from "./ledger.ts";
import { isTrouble, Lost } from "./outcomes.ts";
import { PLANS, specOf } from "./plans.ts";

/** Two pages of an arena, which all runs share, and some copies for readers. */
const MEMORY_BYTES_MAX = 150_000;
const JOURNAL_BYTES_MAX = 25_000;
/** How full the arena is when bodies may find no place. */
const TIGHT_BYTES = 60_000;
/** What a close that failed waits before it is tried again, and a little more. */
const RETRY_MS = 1500;

export class Service {
  readonly clock = new Clock();
  readonly ledgers = PLANS.map((plan) => new Ledger(plan));
  /** What must not have happened. */
  readonly failures: unknown[] = [];
  readonly figures = { requests: 0, replayed: 0, pending: 0, crashes: 0, memoryBytes: 0, usedBytes: 0 };
  readonly refusals: Record<string, number> = {};
  readonly world: World;
  /** Arenas of the process that lives. */
  readonly #arenas: Set<Arena>;
  #life = 0;
  #isUp = false;
  #troubleUntil = -Infinity;

  private constructor(world: World, arenas: Set<Arena>) {
    this.world = world;
    this.#arenas = arenas;
  }

  static async begin(): Promise<Service> {
    const arenas = new Set<Arena>();
    const world = await newWorld({
      memoryBytesMax: MEMORY_BYTES_MAX,
      journalBytesMax: JOURNAL_BYTES_MAX,
      now: () => new Date(service.clock.now),
      runner: (arena, call) => {
        arenas.add(arena);
        return runCompiled(arena, call);
      },
      schedule: (delayMs, call) => service.#schedule(delayMs, call),
      onFailure: ({ run, error }) => service.#failed(run, error),
    });
    const service = new Service(world, arenas);
    for (const plan of PLANS) await world.registry.create(specOf(plan));
    service.#started();
    return service;
  }

  #schedule(delayMs: number, call: () => void): Releasable {
    const life = this.#life;
    const cancel = this.clock.at(this.clock.now + delayMs, () => {
      if (life !== this.#life) return;
      call();
      this.#reconcile();
    });
    return releasable(cancel);
  }

  #reconcile(): void {
    for (const ledger of this.ledgers) ledger.reconcile(this.moment);
  }

  #failed(run: string, error: unknown): void {
    if (/The process is dead/.test(Deno.inspect(error))) return;
    if (isTrouble(error)) this.excuse(run);
    else this.failures.push(new Error(`The run ${run} failed while nobody asked for it`, { cause: error }));
  }

  #started(): void {
    // A flush takes its time, so that the power fails in between.
    this.world.disk.pause = () => this.clock.sleep(2 + this.clock.now * 7919 % 200);
    this.#isUp = true;
  }

  get moment(): Moment {
    return { now: this.clock.now, isTroubled: this.clock.now < this.#troubleUntil };
  }

  /** Something could not be done: there must be a reason, and it may be tried again later. */
  excuse(run: string): void {
    const { now, isTroubled } = this.moment;
    if (!isTroubled && this.usedBytes < TIGHT_BYTES) this.failures.push(new Error(`${run} has room`));
    this.#troubleUntil = Math.max(this.#troubleUntil, now + RETRY_MS);
  }

  /** Bytes that are given out in all arenas. */
  get usedBytes(): number {
    return [...this.#arenas].reduce((sum, arena) => sum + arena.bytesUsed, 0);
  }

  /** The process ends: at once, with the power, or when it has put everything away. Another one starts later. */
  async restart(how: "kill" | "power cut" | "stop", downMs: number): Promise<void> {
    const { disk, registry } = this.world;
    this.#isUp = false;
    this.#life += 1;
    this.figures.crashes += 1;
    let left: Disk | undefined;
    if (how === "power cut") left = disk.powerCut({ keep: this.clock.now % 3 / 2 });
    if (how === "stop") await registry.shutdown();
    const found = disk.kill();
    for (const ledger of this.ledgers) ledger.forget({ losesTail: how === "power cut" });
    await this.clock.sleep(downMs);
    this.#arenas.clear();
    await this.world.restart(left ?? found);
    this.#started();
  }

  /** No room on the disk for a while: none at all, or none for records as small as the end of a round. */
  async fillDisk(ms: number, bytesMax: number): Promise<void> {
    const { disk } = this.world;
    disk.fault = (operation, _, bytes) => {
      if (operation === "write" && bytes <= bytesMax) throw new Error(NO_SPACE);
    };
    this.#troubleUntil = this.clock.now + ms + RETRY_MS;
    await this.clock.sleep(ms);
    disk.fault = () => {};
  }

  /** What is due now and then: snapshots, and room for others in place of idle runs. */
  async sweep({ idleMs = 1500 } = {}): Promise<void> {
    if (this.#isUp) await this.world.registry.sweep({ idleMs });
  }

  /**
   * What a request does: a lease, the run, and no answer before it is on disk. Throws `Lost` when the process ends;
   * `alive` is to be called after waiting.
   */
  async request<T>(ledger: Ledger, act: (session: Session, alive: () => void) => T | Promise<T>): Promise<T> {
    if (!this.#isUp) throw new Lost();
    this.figures.requests += 1;
    const life = this.#life, { registry } = this.world;
    const alive = () => {
      if (life !== this.#life) throw new Lost();
    };
    this.#reconcile();
    const lease = registry.lease(ledger.plan.id);
    try {
      const session = registry.get(ledger.plan.id);
      ledger.meet(session, this.moment);
      const result = await act(session, alive);
      alive();
      const { sequence } = session;
      await lease.durable();
      alive();
      ledger.acknowledge(sequence);
      return result;
    } catch (error) {
      alive();
      if (error instanceof StepwellError) this.refusals[error.code] = 1 + (this.refusals[error.code] ?? 0);
      throw error;
    } finally {
      lease.release();
      this.#watchMemory();
    }
  }

  #watchMemory(): void {
    const { figures, usedBytes } = this, { arenaBytes, publishedBytes } = this.world.registry.figures();
    figures.memoryBytes = Math.max(figures.memoryBytes, arenaBytes + publishedBytes);
    figures.usedBytes = Math.max(figures.usedBytes, usedBytes);
    assert.ok(figures.memoryBytes <= MEMORY_BYTES_MAX, `${figures.memoryBytes} bytes are in use`);
  }

  /** Everything that followed from the last event at once has happened: what is left waits for the clock. */
  settled = async (): Promise<void> => {
    for (let quiet = 0; quiet < 2;) {
      const { disk: { log }, unanswered } = this.world, { length } = log;
      if (unanswered.size > 0) await Promise.all(unanswered);
      await setImmediate();
      quiet = log.length === length && unanswered.size === 0 ? quiet + 1 : 0;
    }
    if (this.failures.length > 0) throw this.failures[0];
  };
}
