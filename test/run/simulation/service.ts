/**
 * The simulated service: a registry on a disk in memory, which dies, restarts, runs out of disk space and loses
 * unflushed bytes, in virtual time.
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
/** The use of the arena from which on bodies may be refused. */
const TIGHT_BYTES = 60_000;
/** A little more than the delay before a failed close is tried again. */
const RETRY_MS = 1500;

export class Service {
  readonly clock = new Clock();
  readonly ledgers = PLANS.map((plan) => new Ledger(plan));
  /** Errors that must not happen. */
  readonly failures: unknown[] = [];
  readonly figures = { requests: 0, replayed: 0, pending: 0, crashes: 0, memoryBytes: 0, usedBytes: 0 };
  readonly refusals: Record<string, number> = {};
  readonly world: World;
  /** Arenas of the present process. */
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
    // A flush takes time, so that the power can fail during it.
    this.world.disk.pause = () => this.clock.sleep(2 + this.clock.now * 7919 % 200);
    this.#isUp = true;
  }

  get moment(): Moment {
    return { now: this.clock.now, isTroubled: this.clock.now < this.#troubleUntil };
  }

  /** Checks that there is a reason for a failure, after which a client may try again. */
  excuse(run: string): void {
    const { now, isTroubled } = this.moment;
    if (!isTroubled && this.usedBytes < TIGHT_BYTES) this.failures.push(new Error(`${run} has room`));
    this.#troubleUntil = Math.max(this.#troubleUntil, now + RETRY_MS);
  }

  /** Bytes in use in all arenas. */
  get usedBytes(): number {
    return [...this.#arenas].reduce((sum, arena) => sum + arena.bytesUsed, 0);
  }

  /** The process ends: killed, by a power failure, or after a shutdown. Another one starts later. */
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

  /** The disk is full for a while: completely, or even for records as small as the end of a round. */
  async fillDisk(ms: number, bytesMax: number): Promise<void> {
    const { disk } = this.world;
    disk.fault = (operation, _, bytes) => {
      if (operation === "write" && bytes <= bytesMax) throw new Error(NO_SPACE);
    };
    this.#troubleUntil = this.clock.now + ms + RETRY_MS;
    await this.clock.sleep(ms);
    disk.fault = () => {};
  }

  /** The periodic work: snapshots and eviction of idle runs. */
  async sweep({ idleMs = 1500 } = {}): Promise<void> {
    if (this.#isUp) await this.world.registry.sweep({ idleMs });
  }

  /**
   * Acts as a request does: takes a lease, uses the run, and answers after the changes are on disk. Throws `Lost` if
   * the process ends; `alive` must be called after waiting.
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

  /** Resolves when all immediate effects of the last event have happened and everything else waits for the clock. */
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
