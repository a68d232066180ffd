/**
 * Rounds that end by time: one alarm a run, set to when its open round is due.
 *
 * No clock and no timer of its own. Invariant: what could not be done when it was due is tried again until it is, or
 * until the session has ended.
 */
import type { Releasable } from "../../releasable.ts";
import type { Session } from "../session/session.ts";

/** Calls back once after a delay, unless it is released before. */
export type Schedule = (delayMs: number, call: () => void) => Releasable;

const RETRY_MS = 1000;
/** What timers can count; a later deadline is looked at again by then. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** Where a session belongs. */
interface Owner {
  readonly id: string;
  /** The session that it has now. */
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

  /** Sets the alarm of a session, in place of an earlier one; null: the session needs none. */
  set(owner: Owner, session: Session, at: number | null): void {
    this.#alarms.get(session)?.release();
    this.#alarms.delete(session);
    if (at === null) return;
    const delay = Math.min(Math.max(0, at - this.#parts.now().getTime()), DELAY_MS_MAX);
    this.#alarms.set(session, this.#parts.schedule(delay, () => this.endDueRound(owner, session)));
  }

  /** Ends the open round if it is due; otherwise the session asks for an alarm at its deadline. */
  endDueRound(owner: Owner, session: Session): void {
    this.#alarms.delete(session);
    // Given up for what its files say: whoever asks for the run next reads them.
    if (owner.session !== session || owner.store?.failed) return;
    const fail = (error: unknown) => this.#parts.onFailure({ run: owner.id, error });
    const { sequence } = session;
    try {
      session.endDueRound();
    } catch (error) {
      fail(error);
      this.set(owner, session, this.#parts.now().getTime() + RETRY_MS);
    }
    // Nobody waits for this step to be on disk, but a crash would take it back to before its deadline.
    if (session.sequence > sequence && session.durability === "journal") owner.store?.durable().catch(fail);
  }
}
