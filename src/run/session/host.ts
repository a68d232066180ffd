/**
 * The host of a session: the log of its changes, and callbacks about its rounds.
 *
 * Invariant: a session gets its host once. Before that, it records nothing and calls nothing.
 */
import type { RunDescription } from "../api/run_description.ts";
import type { ChangeLog } from "../journal/change_log.ts";

export interface SessionHost {
  /** Called for every change before it is made. */
  readonly log: ChangeLog;
  describeStorage(): Pick<RunDescription, "journal_bytes" | "snapshot_version">;
  /** A step is one turn of the event loop; none may take longer. */
  readonly stepSecondsMax: number;
  /** Called after each step that was made, but not for those of a replay. */
  stepped(isDiverged: boolean): void;
  /** Called when the run has got further slots. */
  resized(): void;
  /** Called when the deadline of the open round changes: milliseconds since 1970, or null for no deadline. */
  deadlineChanged(at: number | null): void;
  /** Called within the turn in which the open round has ended or lost its last contribution. */
  becameQuiet(): void;
}

/** A host that is attached after the session is made, because a new run is complete before it has files. */
export class LateHost implements SessionHost {
  #host: SessionHost;
  #isAttached = false;

  /** `records` reads the journal that the session is made from. It is used until a host is attached. */
  constructor(records: ChangeLog["records"]) {
    this.#host = {
      log: { changing: () => {}, ...records && { records } },
      describeStorage: () => ({ journal_bytes: 0, snapshot_version: null }),
      stepSecondsMax: Infinity,
      stepped: () => {},
      resized: () => {},
      deadlineChanged: () => {},
      becameQuiet: () => {},
    };
  }

  attach(host: SessionHost): void {
    if (this.#isAttached) throw new Error("The session has a host already");
    this.#isAttached = true;
    this.#host = host;
  }

  /** Whether changes come from requests; before, they are read from a journal. */
  get isAttached(): boolean {
    return this.#isAttached;
  }

  get log(): ChangeLog {
    return this.#host.log;
  }

  get stepSecondsMax(): number {
    return this.#host.stepSecondsMax;
  }

  describeStorage() {
    return this.#host.describeStorage();
  }

  stepped(isDiverged: boolean): void {
    this.#host.stepped(isDiverged);
  }

  resized(): void {
    this.#host.resized();
  }

  deadlineChanged(at: number | null): void {
    this.#host.deadlineChanged(at);
  }

  becameQuiet(): void {
    this.#host.becameQuiet();
  }
}
