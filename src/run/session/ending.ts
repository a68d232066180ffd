/**
 * The endings of sessions, and the error for a request that still uses an ended session, for instance to send a body.
 */
import { StepwellError } from "../../errors.ts";

/** `reread`: the run continues in another session, which is read from its files. */
export type Ending = "deleted" | "replaced" | "reread";

/** The error of every call to a session that has ended. */
export function endedError(id: string, ending: Ending): StepwellError {
  const cannot = `Cannot continue with the run "${id}"`;
  if (ending === "deleted") return new StepwellError("unknown_run", `${cannot}: it was deleted meanwhile`);
  if (ending === "reread") {
    return new StepwellError("storage_failed", `${cannot}: it was read from disk again meanwhile`);
  }
  return new StepwellError(
    "run_replaced",
    `${cannot}: a checkpoint has replaced it; the request must be sent again`,
  );
}
