/** What a session is made from. */
import type { Runner } from "../../../kernels/compiler/runner.ts";
import type { Remembered } from "../answers/remembered.ts";
import type { ChangeLog } from "../journal/change_log.ts";
import type { ResolvedSpec } from "../spec/spec.ts";
import type { Memory } from "../tensors/memory.ts";
import type { RunState } from "../tensors/state.ts";

/** What an earlier session of the run remembered comes with it. */
export interface SessionParts extends Partial<Remembered> {
  readonly id: string;
  readonly spec: ResolvedSpec;
  readonly state: RunState;
  readonly memory: Memory;
  readonly runner: Runner;
  readonly createdAt: string;
  readonly version: number;
  /** Of the next change; absent: the version. */
  readonly sequence?: number;
  /** Of the open round; absent: the first. */
  readonly round?: number;
  /** Reads the journal that the session is made from; absent for a new run. */
  readonly records?: ChangeLog["records"];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}
