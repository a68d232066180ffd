/**
 * Ends rounds at their deadlines: one alarm per run, set to when its open round is due.
 *
 * It has no clock and no timer of its own. Invariant: ending a due round is tried again until it succeeds or the
 * session has ended.
 */
import type { Releasable } from "../../releasable.ts";
import type { Session } from "../session/session.ts";

/** Calls `call` once after a delay, unless the returned handle is released before. */
export type Schedule = (delayMs: number, call: () => void) => Releasable;

const RETRY_MS = 1000;
/** The longest delay of a timer; a later deadline is checked again after it. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** The run that a session belongs to. */
interface Owner {
  readonly id: string;
  /** The run's present session. */
  readonly session: Session | undefined;
  readonly store: { readonly failed: boolean; durable(): Promise<void> } | undefined;
}

interface DeadlineParts {
  readonly now: () => Date;
  readonly schedule: Schedule;
  readonly onFailure: (failure: { readonly run: string; readonly error: unknown }) => void;
}

export class Deadlines {
  readonly #parts: DeadlineParts;
  readonly #alarms = new Map<Session, Releasable>();

  constructor(parts: DeadlineParts) {
    this.#parts = parts;
  }

  /** Sets the alarm of a session and cancels an earlier one; null sets none. */
  set(owner: Owner, session: Session, at: number | null): void {
    this.#alarms.get(session)?.release();
    this.#alarms.delete(session);
    if (at === null) return;
    const delay = Math.min(Math.max(0, at - this.#parts.now().getTime()), DELAY_MS_MAX);
    this.#alarms.set(session, this.#parts.schedule(delay, () => this.endDueRound(owner, session)));
  }

  /** Ends the open round if it is due; otherwise the session sets an alarm for its deadline. */
  endDueRound(owner: Owner, session: Session): void {
    this.#alarms.delete(session);
    // The session is out of date: the next request for the run reads it from its files.
    if (owner.session !== session || owner.store?.failed) return;
    const fail = (error: unknown) => this.#parts.onFailure({ run: owner.id, error });
    const { sequence } = session;
    try {
      session.endDueRound();
    } catch (error) {
      fail(error);
      this.set(owner, session, this.#parts.now().getTime() + RETRY_MS);
    }
    // No request waits for this step to be on disk, but a crash would undo it although its deadline has passed.
    if (session.sequence > sequence && session.durability === "journal") owner.store?.durable().catch(fail);
  }
}
