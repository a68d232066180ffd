/** Answers a contribution: its figures and, if it made a step and the caller asked for them, the new values. */
import type { Publication, RunSession } from "../../src/run/api/run_session.ts";
import type { ContributionAnswer, StepAnswer } from "../../src/run/api/steps.ts";
import { answerJson, answerPreferred, answerTensors } from "../http/answer.ts";
import { answerPieces } from "../http/answer_pieces.ts";
import type { AppContext, Services } from "../http/context.ts";
import { sayReplayed } from "../http/idempotency.ts";
import type { TensorType } from "../http/negotiate.ts";
import { areMany, normsJson, normsOf, numbersOf, stepJson } from "./step_json.ts";

interface Step {
  readonly run: RunSession;
  readonly step: StepAnswer | ContributionAnswer;
  /** The type for the new values; undefined: not wanted. */
  readonly representation: TensorType | undefined;
  /** Those right after the step, if they were taken then. They are released. */
  readonly values: Publication | undefined;
}

export function answerStep(
  c: AppContext,
  services: Services,
  { run, step, representation, values }: Step,
): Promise<Response> {
  // After a wait the run may be past this step. Its values are then not those of the step.
  const hasValues = step.applied && (values !== undefined || step.version === run.version);
  return answerPreferred({
    representation: hasValues ? representation : undefined,
    plain: () => {
      values?.release();
      return answerFigures(c, step);
    },
    full: (type) => {
      const publication = values ?? run.publish(), { variables } = step;
      const figures = {
        ...numbersOf(step),
        variables: areMany(variables) ? [...normsJson(variables)].join("") : normsOf(variables),
      };
      return answerTensors(c, services, {
        type,
        run: publication,
        source: publication,
        figures,
        json: () => stepJson(step, publication.tensors),
        owner: publication,
      });
    },
  });
}

function answerFigures(c: AppContext, step: StepAnswer | ContributionAnswer): Response | Promise<Response> {
  const { variables } = step, options = { run: step, status: statusOf(step) } as const;
  if (areMany(variables)) return answerPieces(c, stepJson(step), options);
  return answerJson(c, { ...numbersOf(step), variables: normsOf(variables) }, options);
}

/** Answers a repeated request with the figures of the first. The ETag is of that time; the run may be past it. */
export function answerReplayed(
  c: AppContext,
  step: StepAnswer | ContributionAnswer,
): Response | Promise<Response> {
  sayReplayed(c);
  return answerFigures(c, step);
}

/** Whether the contribution is in a round that has not become a step yet. */
export function isPending(step: StepAnswer | ContributionAnswer): step is ContributionAnswer {
  return "accepted" in step && step.accepted;
}

export const statusOf = (step: StepAnswer | ContributionAnswer) => isPending(step) ? 202 : 200;
