/**
 * What a session needs from outside: where its changes are written down, and who is told what happens to its rounds.
 *
 * Invariant: a session gets its host once. Until then it has none, and nothing of what it does leaves it.
 */
import type { RunDescription } from "../api/run_description.ts";
import type { ChangeLog } from "../journal/change_log.ts";

export interface SessionHost {
  /** Told of every change before it is made. */
  readonly log: ChangeLog;
  describeStorage(): Pick<RunDescription, "journal_bytes" | "snapshot_version">;
  /** The open round has another deadline: milliseconds since 1970, or null without one. */
  deadlineChanged(at: number | null): void;
  /** The open round has ended, or lost its last contribution. Called within the turn. */
  becameQuiet(): void;
}

/** The host of a session, which comes later than the session: a new run is complete before it has files. */
export class LateHost implements SessionHost {
  #host: SessionHost;
  #isAttached = false;

  /** `records` reads the journal that the session is made from, while nothing is attached. */
  constructor(records: ChangeLog["records"]) {
    this.#host = {
      log: { changing: () => {}, ...records && { records } },
      describeStorage: () => ({ journal_bytes: 0, snapshot_version: null }),
      deadlineChanged: () => {},
      becameQuiet: () => {},
    };
  }

  attach(host: SessionHost): void {
    if (this.#isAttached) throw new Error("The session has a host already");
    this.#isAttached = true;
    this.#host = host;
  }

  get log(): ChangeLog {
    return this.#host.log;
  }

  describeStorage() {
    return this.#host.describeStorage();
  }

  deadlineChanged(at: number | null): void {
    this.#host.deadlineChanged(at);
  }

  becameQuiet(): void {
    this.#host.becameQuiet();
  }
}
