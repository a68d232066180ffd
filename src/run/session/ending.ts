/** What becomes of sessions: who still holds one, say because its body was on its way, is told what to do. */
import { StepwellError } from "../../errors.ts";

/** `reread`: the run goes on, in another session that its files make. */
export type Ending = "deleted" | "replaced" | "reread";

/** The refusal of whatever is asked of a session that has ended. */
export function endedError(id: string, ending: Ending): StepwellError {
  const cannot = `Cannot go on with the run "${id}"`;
  if (ending === "deleted") return new StepwellError("unknown_run", `${cannot}: it was deleted meanwhile`);
  if (ending === "reread") {
    return new StepwellError("storage_failed", `${cannot}: it was read anew from disk meanwhile`);
  }
  return new StepwellError(
    "run_replaced",
    `${cannot}: a checkpoint has taken its place; the request must be sent again`,
  );
}
