/**
 * The checks before every change of a run: the run exists, it still exists when the body has arrived, and it is at
 * the version that the caller requires. The session makes the change.
 */
import { inSlices } from "../../src/slices.ts";
import { StepwellError } from "../../src/errors.ts";
import type { RunSession } from "../../src/run/api/run_session.ts";
import type { ChangeAnswer } from "../../src/run/api/steps.ts";
import type { AppContext, Services } from "./context.ts";
import { type OneChange, oneChange } from "./idempotency.ts";
import { preconditions } from "./preconditions.ts";

export interface CheckedRun {
  readonly run: RunSession;
  /** Call it right before the change, with no await between. Throws like `registry.confirm`, and version_mismatch. */
  readonly confirm: () => void;
  /**
   * Confirms the run and makes the change, in one turn. On a full disk it does both again if a snapshot makes room.
   * Throws like `confirm`, and like the change.
   */
  readonly change: <T>(act: () => T) => Promise<T>;
}

/** Opens the run and makes the checks for the first time. Throws unknown_run, version_mismatch, malformed_header. */
export async function checkRun(c: AppContext, { registry }: Services, id: string): Promise<CheckedRun> {
  const run = await registry.open(id);
  // The answer may have all values.
  if (c.req.header("Prefer") !== undefined) await inSlices(run.layingOut());
  const check = preconditions(c);
  // A retry of a request with a key names the version before its own step.
  if (c.req.header("Idempotency-Key") === undefined) check(run);
  const confirm = () => {
    registry.confirm(run);
    check(run);
  };
  return {
    run,
    confirm,
    change: async (act) => {
      confirm();
      try {
        return act();
      } catch (error) {
        const isFull = error instanceof StepwellError && error.code === "storage_full";
        if (!isFull || !await registry.makeRoom()) throw error;
      }
      confirm();
      return act();
    },
  };
}

/** The change of a run that is made once for each key. Throws malformed_header, key_in_progress. */
export function oneChangeOf({ replies }: RunSession, c: AppContext, services: Services): OneChange {
  return oneChange(c, services, {
    acquireKey: (key) => replies.acquireKey(key),
    find: (use) => replies.find<ChangeAnswer>(use),
  });
}
