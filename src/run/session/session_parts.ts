/** The constructor arguments of a session. */
import type { Runner } from "../../../kernels/compiler/runner.ts";
import type { Remembered } from "../answers/remembered.ts";
import type { ChangeLog } from "../journal/change_log.ts";
import type { ResolvedSpec } from "../spec/spec.ts";
import type { Memory } from "../tensors/memory.ts";
import type { RunState } from "../tensors/state.ts";

/** They include what an earlier session of the run remembered. */
export interface SessionParts extends Partial<Remembered> {
  readonly id: string;
  readonly spec: ResolvedSpec;
  readonly state: RunState;
  readonly memory: Memory;
  readonly runner: Runner;
  readonly createdAt: string;
  readonly version: number;
  /** Sequence number of the next change; absent: the version. */
  readonly sequence?: number;
  /** Number of the open round; absent: 0. */
  readonly round?: number;
  /** Reads the journal that the session is made from; absent for a new run. */
  readonly records?: ChangeLog["records"];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}
