/**
 * Waits for the round of a contribution to become a step, if `Prefer: wait` asks for it. It changes nothing: the
 * contribution counts whether its client waits or not.
 */
import { StepwellError } from "../../src/errors.ts";
import type { RoundOutcome } from "../../src/run/api/rounds.ts";
import type { RunSession } from "../../src/run/api/run_session.ts";
import type { ContributionAnswer, StepAnswer } from "../../src/run/api/steps.ts";
import type { Services } from "../http/context.ts";
import type { Wait } from "../http/wait.ts";

interface Pending {
  readonly run: RunSession;
  readonly answer: ContributionAnswer;
  readonly clientId: string | undefined;
  /** Whether an earlier request made the contribution. Its round may have ended long ago. */
  readonly isReplayed: boolean;
}

/**
 * The step that the round became; undefined if the round is still open or forgotten. Throws round_dropped,
 * contribution_withdrawn, and what `registry.confirm` throws for a run that is gone.
 */
export async function awaitRound(
  wait: Wait,
  { registry }: Pick<Services, "registry">,
  pending: Pending,
): Promise<StepAnswer | undefined> {
  const { run, answer, isReplayed } = pending;
  if (isReplayed && run.outcome(answer.round) === undefined && !isOpen(pending)) return undefined;
  const checkWithdrawn = withdrawalCheck(pending);
  const outcome = await wait.until<RoundOutcome>(run.events, () => {
    checkWithdrawn();
    return run.outcome(answer.round);
  });
  if (outcome === undefined) registry.confirm(run);
  if (outcome?.kind !== "dropped") return outcome?.answer;
  throw new StepwellError(
    "round_dropped",
    `Cannot wait for the step of round ${answer.round}: it was dropped: ${outcome.reason}`,
  );
}

/** Whether the contribution's round is open. Throws contribution_withdrawn if it no longer has the contribution. */
function isOpen({ run, answer, clientId }: Pending): boolean {
  const { round, contributions } = run.round();
  if (round !== answer.round) return false;
  const isThere = clientId === undefined || contributions.some((each) => each.client_id === clientId);
  if (isThere) return true;
  throw withdrawn(answer.round, clientId);
}

/** Returns a check that throws if the contribution was withdrawn: the step will not include it. */
function withdrawalCheck({ run, answer, clientId }: Pending): () => void {
  if (clientId === undefined) return () => {};
  const { events } = run;
  let place = events.last;
  return () => {
    if (events.last === place) return;
    const isWithdrawn = events.since(place).events.some(({ type, data }) =>
      type === "contribution_withdrawn" && data["round"] === answer.round && data["client_id"] === clientId
    );
    place = events.last;
    if (isWithdrawn) throw withdrawn(answer.round, clientId);
  };
}

function withdrawn(round: number, clientId: string): StepwellError {
  return new StepwellError(
    "contribution_withdrawn",
    `Cannot wait for the step of round ${round}: the contribution of the client ${
      JSON.stringify(clientId)
    } was withdrawn`,
  );
}
