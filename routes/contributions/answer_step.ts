/** The answer to a contribution: its figures, and, when it made a step, the new values where the caller asked for them. */
import type { RunSession } from "../../src/run/api/run_session.ts";
import type { ContributionAnswer, StepAnswer } from "../../src/run/api/steps.ts";
import { answerJson, answerPreferred, answerTensors, nestByName, sayable } from "../http/answer.ts";
import type { AppContext, Services } from "../http/context.ts";
import type { TensorType } from "../http/negotiate.ts";

interface Step {
  readonly run: RunSession;
  readonly step: StepAnswer | ContributionAnswer;
  /** The type in which the new values are wanted. */
  readonly representation: TensorType | undefined;
}

export function answerStep(c: AppContext, services: Services, { run, step, representation }: Step): Response {
  const figures = figuresOf(step);
  // Who has waited for a step may find the run past it: those values would not be this step's.
  const hasValues = step.applied && step.version === run.version;
  return answerPreferred({
    representation: hasValues ? representation : undefined,
    plain: () => answerJson(c, figures, { run: step, status: statusOf(step) }),
    full: (type) => {
      const publication = run.publish();
      const { tensors } = publication;
      return answerTensors(c, services, {
        type,
        run,
        tensors,
        figures,
        json: () => ({ ...figures, variables: withValues(figures.variables, nestByName(tensors)) }),
        owner: publication,
      });
    },
  });
}

/** The figures of what this request has done before. The run may be past it: the ETag is of that time. */
export function answerReplayed(c: AppContext, step: StepAnswer | ContributionAnswer): Response {
  c.header("Idempotency-Replayed", "true");
  return answerJson(c, figuresOf(step), { run: step, status: statusOf(step) });
}

/** Whether it is in a round that has yet to become a step. */
export function isPending(step: StepAnswer | ContributionAnswer): step is ContributionAnswer {
  return "accepted" in step && step.accepted;
}

const statusOf = (step: StepAnswer | ContributionAnswer) => isPending(step) ? 202 : 200;

/** As JSON says them. */
export function figuresOf(step: StepAnswer | ContributionAnswer) {
  const variables = Object.entries(step.variables).map(([name, { gradient_norm }]) =>
    [name, { gradient_norm: sayable(gradient_norm) }] as const
  );
  return {
    ...step,
    ..."learning_rate" in step && { learning_rate: sayable(step.learning_rate) },
    gradient_norm: sayable(step.gradient_norm),
    clip_factor: sayable(step.clip_factor),
    variables: Object.fromEntries(variables),
  };
}

/** Every variable with its new values; figures only for those that had a gradient. */
function withValues(figures: Readonly<Record<string, object>>, values: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, { ...figures[name], values: value }]),
  );
}
