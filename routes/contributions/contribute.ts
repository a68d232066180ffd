/**
 * What every contribution needs, whether its gradients come in the body or are made here: its run, checked; its key; the
 * round that it may wait for. The gradients are the route's.
 */
import type { ContributionAnswer, KeyUse, StepAnswer } from "../../src/run/api/steps.ts";
import { answerReplayed, answerStep, isPending } from "./answer_step.ts";
import { awaitRound } from "./await_round.ts";
import type { AppContext, Services } from "../http/context.ts";
import { keyedRequest } from "../http/idempotency.ts";
import { preferredRepresentation } from "../http/prefer.ts";
import { type CheckedRun, checkRun } from "../http/checked_run.ts";
import { openWait } from "../http/wait.ts";

type Answer = StepAnswer | ContributionAnswer;

interface Contributed {
  readonly answer: Answer;
  readonly clientId: string | undefined;
  /** Whether the same request was answered before. */
  readonly isReplayed: boolean;
}

/** To be called once the body has been read to its end: applies, unless the same request was answered before. */
type ApplyOnce = (
  clientId: string | undefined,
  apply: (key: KeyUse | undefined) => Answer | Promise<Answer>,
) => Promise<Contributed>;

/**
 * The answer to a contribution to the run `id`. When `contribute` resolves it holds no memory and no place: who goes on
 * to wait for the round has not even the key, so that a retry may take over.
 */
export async function answerContribution(
  c: AppContext,
  services: Services,
  id: string,
  contribute: (checked: CheckedRun, applyOnce: ApplyOnce) => Promise<Contributed>,
): Promise<Response> {
  const checked = checkRun(c, services, id);
  const { run } = checked;
  const representation = preferredRepresentation(c);
  // Before anything is changed: who may not wait is refused, and comes again.
  using wait = run.mode === "immediate" ? undefined : openWait(c, services);
  const keyed = keyedRequest(c, services);
  const applyOnce: ApplyOnce = async (clientId, apply) => {
    const key = keyed?.use();
    const known = key && run.replies.find(key);
    return { answer: known ?? await apply(key), clientId, isReplayed: known !== undefined };
  };
  let contributed: Contributed;
  {
    using _key = keyed && run.replies.acquireKey(keyed.key);
    contributed = await contribute(checked, applyOnce);
  }
  const { answer, clientId, isReplayed } = contributed;
  const made = wait && isPending(answer)
    ? await awaitRound(wait, services, { run, answer, clientId, isReplayed })
    : undefined;
  const step = made ?? answer;
  return isReplayed ? answerReplayed(c, step) : answerStep(c, services, { run, step, representation });
}
