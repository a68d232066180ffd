/** What the answers to contributions say about skipped ones and dropped rounds. */
import type { ContributionAnswer } from "../api/steps.ts";
import type { ArenaStaging } from "../staging/staging.ts";

/** Whether a warning says that the contribution is skipped. Another one may tell of absent gradients. */
export function isSkipped({ absent }: ArenaStaging, { warnings }: ContributionAnswer): boolean {
  return warnings.length > (absent.length > 0 ? 1 : 0);
}

/** The answer to a contribution whose round was dropped in the same turn. */
export function withDrop(answer: ContributionAnswer, reason: string): ContributionAnswer {
  return { ...answer, warnings: [...answer.warnings, `Round ${answer.round} was dropped: ${reason}`] };
}
