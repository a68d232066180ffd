/**
 * The ledger of one run: the model's state after every change, and which changes were acknowledged. The service is
 * compared with it at every request.
 */
import assert from "node:assert/strict";
import type { Session } from "../../../src/run/session/session.ts";
import { passTime } from "./model.ts";
import { attempt, codeOf, isTrouble } from "./outcomes.ts";
import type { RunPlan } from "./plans.ts";
import { begin, type Change, deadline, type State } from "./state.ts";
import { assertThere, isThere } from "./view.ts";

/** The conditions under which the service is compared. */
export interface Moment {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Whether due changes may be made later. */
  readonly isTroubled: boolean;
}

export class Ledger {
  readonly plan: RunPlan;
  /** By sequence: the change after which the next one has that number. */
  readonly #history: Change[];
  /** The session of the latest request. */
  #session: Session | undefined;
  /** Count of changes that are known to be on disk. */
  #acknowledged = 0;
  /** Whether the power has failed since then: only acknowledged changes are certain. */
  #losesTail = false;
  /** Count of changes that power failures undid. */
  lost = 0;
  reloads = 0;

  constructor(plan: RunPlan) {
    this.plan = plan;
    this.#history = [{ state: begin(plan), answer: undefined, events: [] }];
  }

  get state(): State {
    return (this.#history.at(-1) as Change).state;
  }

  get changes(): readonly Change[] {
    return this.#history;
  }

  /** The session that is in memory, as far as known. */
  get session(): Session | undefined {
    return this.#session?.events.closed ? undefined : this.#session;
  }

  /** Count of changes that the service has made. */
  commit(changes: readonly Change[]): void {
    this.#history.push(...changes);
    if (this.session) assertThere(this.session, this.state, this.plan.id);
  }

  /** Notes that everything up to this sequence is on disk. */
  acknowledge(sequence: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, sequence);
  }

  /** Notes that the process died. */
  forget({ losesTail }: { losesTail: boolean }): void {
    this.#session = undefined;
    this.#losesTail ||= losesTail;
  }

  /** Compares a request's session. A new one has the old one's state, or an earlier one after a power failure. */
  meet(session: Session, { now, isTroubled }: Moment): void {
    if (session === this.#session) return;
    this.#session = session;
    this.reloads += 1;
    const least = this.#losesTail ? this.#acknowledged : this.state.sequence;
    this.#losesTail = false;
    for (let sequence = this.state.sequence; sequence >= least; sequence--) {
      const { state } = this.#history[sequence] as Change;
      const due = passTime(this.plan, state, now);
      const isPassed = due !== undefined && isThere(session, due.state);
      if (!isPassed && !((due === undefined || isTroubled) && isThere(session, state))) continue;
      this.lost += this.#history.length - 1 - sequence;
      this.#history.length = sequence + 1;
      if (isPassed) this.#history.push(due);
      return;
    }
    const { id } = this.plan, { state } = this.#history[Math.max(least, session.sequence)] ?? this;
    assertThere(session, passTime(this.plan, state, now)?.state ?? state, id);
    assert.fail(`${id} was read again at change ${session.sequence}: ${least} were acknowledged`);
  }

  /** Checks, after time has passed, that the service has made exactly the model's due changes. */
  reconcile({ now, isTroubled }: Moment): void {
    const { session, plan } = this;
    if (!session) {
      const isGone = this.#session !== undefined && deadline(plan, this.state) !== null;
      assert.ok(!isGone, `${plan.id} has left memory, and its deadline with it`);
      return;
    }
    if (session.sequence > this.state.sequence) {
      const due = passTime(plan, this.state, now);
      assert.ok(due, `${plan.id} changed by itself at ${now}`);
      this.commit([due]);
    }
    const left = isTroubled ? undefined : passTime(plan, this.state, now - 1);
    assert.equal(left, undefined, `${plan.id} is overdue at ${now}`);
  }

  /** Makes a change that needs no body. Throws its refusal. */
  make(session: Session, predict: (state: State) => Change, act: (session: Session) => void): void {
    const predicted = attempt(() => predict(this.state)), { error } = attempt(() => act(session));
    if (isTrouble(error)) throw error;
    assert.equal(codeOf(error), codeOf(predicted.error), this.plan.id);
    if (error) throw error;
    this.commit([predicted.value as Change]);
  }

  /** All events, with their ids. */
  events(): { id: string; type: string; data: unknown }[] {
    return this.#history.flatMap(({ events }, sequence) =>
      events.map((event, index) => ({ id: `${sequence - 1}.${index + 1}`, ...event }))
    );
  }

  /** Checks that the answers to keyed requests are complete and equal. */
  checkReplies(session: Session): void {
    const { replies } = this.state;
    assert.deepEqual(session.replies.all.map(({ key }) => key).sort(), [...replies.keys()].sort());
    for (const [key, { hash, answer }] of replies) {
      assert.deepEqual(session.replies.find({ key, hash }), answer, `${this.plan.id}: the answer to ${key}`);
    }
  }
}
