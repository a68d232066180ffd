/**
 * Waiting for the round that a contribution is in to become a step, where `Prefer: wait` asks for it. Changes nothing:
 * the contribution counts whether somebody waits for it or not.
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
  /** Whether it was contributed by an earlier request: its round may be long over. */
  readonly isReplayed: boolean;
}

/**
 * The step that the round became; undefined when it is open still, or forgotten. Throws round_dropped,
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

/** Whether the contribution's round is the open one. Throws contribution_withdrawn when that holds it no more. */
function isOpen({ run, answer, clientId }: Pending): boolean {
  const { round, contributions } = run.round();
  if (round !== answer.round) return false;
  const isThere = clientId === undefined || contributions.some((each) => each.client_id === clientId);
  if (isThere) return true;
  throw withdrawn(answer.round, clientId);
}

/** Throws once the contribution has been withdrawn: the step will not be one with it. */
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
