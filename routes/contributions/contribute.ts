/**
 * The common part of all contributions, whether the gradients are in the body or computed here: the checked run, the
 * idempotency key, the wait for the round. The route provides the gradients.
 */
import type { Publication } from "../../src/run/api/run_session.ts";
import type { ContributionAnswer, KeyUse, StepAnswer } from "../../src/run/api/steps.ts";
import { answerReplayed, answerStep, isPending } from "./answer_step.ts";
import { awaitRound } from "./await_round.ts";
import { assertScope, contributorOf } from "../http/access.ts";
import type { AppContext, Services } from "../http/context.ts";
import { keyedRequest } from "../http/idempotency.ts";
import { preferredRepresentation } from "../http/prefer.ts";
import { type CheckedRun, checkRun } from "../http/checked_run.ts";
import { valuesOf } from "../http/answer.ts";
import { openWait } from "../http/wait.ts";

type Answer = StepAnswer | ContributionAnswer;

interface Contributed {
  readonly answer: Answer;
  readonly clientId: string | undefined;
  /** Whether this is the answer to an earlier, equal request. */
  readonly isReplayed: boolean;
}

/**
 * Calls `apply` with the client that contributes, unless an equal request was answered before. Call it once the body
 * has been read to the end, with the client that it says. Throws forbidden if the token is bound to another.
 */
type ApplyOnce = (
  clientId: string | undefined,
  apply: (by: Contributor) => Answer | Promise<Answer>,
) => Promise<Contributed>;

interface Contributor {
  readonly clientId: string | undefined;
  readonly key: KeyUse | undefined;
}

/**
 * Answers a contribution to the run `id`. `aggregate=false` makes a step past the open round, whose other contributors
 * it concerns: it needs the scope write. When `contribute` resolves, it must hold no memory and no place. A request
 * that then waits for the round does not hold its key either, so that a retry can take over.
 */
export async function answerContribution(
  c: AppContext,
  services: Services,
  { run: id, aggregate }: { readonly run: string; readonly aggregate: boolean },
  contribute: (checked: CheckedRun, applyOnce: ApplyOnce) => Promise<Contributed>,
): Promise<Response> {
  if (!aggregate) assertScope(c, "write", "apply gradients with aggregate=false");
  const checked = await checkRun(c, services, id);
  const { run } = checked;
  const representation = preferredRepresentation(c);
  // Before any change: a request that gets no place to wait is refused and can be sent again.
  using wait = run.mode === "immediate" ? undefined : openWait(c, services);
  const keyed = keyedRequest(c, services);
  const applyOnce: ApplyOnce = async (said, apply) => {
    const clientId = contributorOf(c, said);
    const key = keyed?.use();
    const known = key && run.replies.find(key);
    return { answer: known ?? await apply({ clientId, key }), clientId, isReplayed: known !== undefined };
  };
  let contributed: Contributed, values: Publication | undefined;
  const change: CheckedRun["change"] = (act) =>
    checked.change(() => {
      const { version } = run, made = act();
      // Another step may follow at once.
      if (representation !== undefined && run.version !== version) values = valuesOf(run);
      return made;
    });
  {
    using _key = keyed && run.replies.acquireKey(keyed.key);
    contributed = await contribute({ ...checked, change }, applyOnce);
  }
  const { answer, clientId, isReplayed } = contributed;
  const made = wait && isPending(answer)
    ? await awaitRound(wait, services, { run, answer, clientId, isReplayed })
    : undefined;
  const step = made ?? answer;
  // Those of the step that ended the wait are later ones.
  if (made) values = void values?.release();
  return isReplayed
    ? answerReplayed(c, step)
    : answerStep(c, services, { run, step, representation, values });
}
