/**
 * Counts of all runs, kept as things happen: reading them costs the same whatever the number of runs.
 *
 * Invariant: a run is counted while it is in the table and in memory. `tally_test.ts` compares with a walk over all
 * runs.
 */
import type { Session } from "../session/session.ts";

/** A run of the table. */
export interface Countable {
  readonly session: Session | undefined;
  /** Bytes of its variables and slots, as the tally has them; undefined: it is not counted. */
  counted: number | undefined;
}

export class Tally {
  /** Count of the runs in memory. */
  runsInMemory = 0;
  /** Bytes of their variables and slots. */
  runBytes = 0;
  /** Count of the steps that were applied since the start. Replayed steps are not among them. */
  steps = 0;
  /** Count of those that left numbers that are not finite. */
  divergedSteps = 0;

  stepped(isDiverged: boolean): void {
    this.steps += 1;
    if (isDiverged) this.divergedSteps += 1;
  }

  /** Counts the run as it is now, in place of what was counted of it before. */
  count(run: Countable): void {
    this.#set(run, run.session?.bytes.state);
  }

  /** The run is no longer in the table, or no longer in memory. */
  forget(run: Countable): void {
    this.#set(run, undefined);
  }

  #set(run: Countable, bytes: number | undefined): void {
    this.runsInMemory += Number(bytes !== undefined) - Number(run.counted !== undefined);
    this.runBytes += (bytes ?? 0) - (run.counted ?? 0);
    run.counted = bytes;
  }
}
