/** The events of a run, for clients that watch it. */

import type { Releasable } from "../../releasable.ts";

/** Something that happened to a run. */
export interface RunEvent {
  /** Increases with each event; opaque to clients. */
  readonly id: string;
  readonly type:
    | "round_opened"
    | "contribution_accepted"
    | "contribution_withdrawn"
    | "round_dropped"
    | "step_applied"
    | "step_diverged"
    | "run_changed";
  readonly data: Readonly<Record<string, unknown>>;
}

/** The latest events of a run. */
export interface RunEvents {
  /** Whether the session has ended: the run was deleted, replaced, or will be read again from disk. */
  readonly closed: boolean;
  /** Count of all events of this session, kept or not. */
  readonly count: number;
  /** The id of the newest event; without events, the id before the first one. */
  readonly last: string;
  /** Events after this id; `missed` if some before them are no longer kept. */
  since(id: string): { readonly events: readonly RunEvent[]; readonly missed: boolean };
  /** Calls `listener` after each turn that made an event or ended the session, until it is released. */
  watch(listener: () => void): Releasable;
}
