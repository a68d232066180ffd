/**
 * The checks before every change of a run: the run exists, it still exists when the body has arrived, and it is at
 * the version that the caller requires. The session makes the change.
 */
import type { RunSession } from "../../src/run/api/run_session.ts";
import type { AppContext, Services } from "./context.ts";
import { preconditions } from "./preconditions.ts";

export interface CheckedRun {
  readonly run: RunSession;
  /** Call it right before the change, with no await between. Throws like `registry.confirm`, and version_mismatch. */
  readonly confirm: () => void;
}

/** Finds the run and makes the checks for the first time. Throws unknown_run, version_mismatch, malformed_header. */
export function checkRun(c: AppContext, { registry }: Services, id: string): CheckedRun {
  const run = registry.get(id);
  const check = preconditions(c);
  // A retry of a request with a key names the version before its own step.
  if (c.req.header("Idempotency-Key") === undefined) check(run);
  return {
    run,
    confirm: () => {
      registry.confirm(run);
      check(run);
    },
  };
}
