/** A run in the table of runs: its files, and its session while it is in memory. */
import type { Releasable } from "../../releasable.ts";
import type { RunStore } from "../../store/run_store.ts";
import type { Session } from "../session/session.ts";
import type { Countable } from "./tally.ts";

export interface RunEntry extends Countable {
  readonly id: string;
  /** Increases with every run created. A page's cursor refers to it, so that deletions do not shift pages. */
  readonly sequence: number;
  readonly store: RunStore | undefined;
  session: Session | undefined;
  /** Count of requests that use the run now. */
  users: number;
  /** When the latest of them ended, in milliseconds since 1970. */
  usedAt: number;
  /** How often the run came into memory. If the number is unchanged and there is no session, the run is unchanged. */
  openings: number;
  /** Set while changes are refused; `session` is the freeze of the session, if there is one. */
  frozen: { session: Releasable | undefined } | undefined;
  /** Called once, in the turn in which the session's open round ends or loses its last contribution. */
  whenQuiet: (() => void) | undefined;
}

export function newEntry(
  named: Pick<RunEntry, "id" | "sequence" | "store" | "usedAt">,
): RunEntry {
  return {
    ...named,
    session: undefined,
    users: 0,
    openings: 0,
    frozen: undefined,
    whenQuiet: undefined,
    counted: undefined,
  };
}

/** The class_name of a run's optimizer if it is a registered one, otherwise undefined. */
export function optimizerOf({ session, store }: RunEntry): string | undefined {
  return session ? session.optimizerMember.definition?.class_name : store?.record.optimizer;
}
