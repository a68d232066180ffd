/**
 * The checks before every change of a run: it exists, it still does when the body has come, and it is at the version
 * that the caller wants. The change itself belongs to the session.
 */
import type { RunSession } from "../../src/run/api/run_session.ts";
import type { AppContext, Services } from "./context.ts";
import { preconditions } from "./preconditions.ts";

export interface CheckedRun {
  readonly run: RunSession;
  /** To be called right before the change, with no await between: throws what `registry.confirm` throws, and version_mismatch. */
  readonly confirm: () => void;
}

/** Finds the run, and refuses at once what is refused already; throws unknown_run, version_mismatch, malformed_header. */
export function checkRun(c: AppContext, { registry }: Services, id: string): CheckedRun {
  const run = registry.get(id);
  const check = preconditions(c);
  // A retry of a keyed request names the version before the step that it has already made.
  if (c.req.header("Idempotency-Key") === undefined) check(run);
  return {
    run,
    confirm: () => {
      registry.confirm(run);
      check(run);
    },
  };
}
