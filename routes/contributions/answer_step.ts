/** Answers a contribution: its figures and, if it made a step and the caller asked for them, the new values. */
import type { RunSession } from "../../src/run/api/run_session.ts";
import type { ContributionAnswer, StepAnswer } from "../../src/run/api/steps.ts";
import { answerJson, answerPreferred, answerTensors, nestByName, sayable } from "../http/answer.ts";
import type { AppContext, Services } from "../http/context.ts";
import { sayReplayed } from "../http/idempotency.ts";
import type { TensorType } from "../http/negotiate.ts";

interface Step {
  readonly run: RunSession;
  readonly step: StepAnswer | ContributionAnswer;
  /** The type for the new values; undefined: not wanted. */
  readonly representation: TensorType | undefined;
}

export function answerStep(c: AppContext, services: Services, { run, step, representation }: Step): Response {
  const figures = figuresOf(step);
  // After a wait the run may be past this step. Its values are then not those of the step.
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

/** Answers a repeated request with the figures of the first. The ETag is of that time; the run may be past it. */
export function answerReplayed(c: AppContext, step: StepAnswer | ContributionAnswer): Response {
  sayReplayed(c);
  return answerJson(c, figuresOf(step), { run: step, status: statusOf(step) });
}

/** Whether the contribution is in a round that has not become a step yet. */
export function isPending(step: StepAnswer | ContributionAnswer): step is ContributionAnswer {
  return "accepted" in step && step.accepted;
}

const statusOf = (step: StepAnswer | ContributionAnswer) => isPending(step) ? 202 : 200;

/** The figures of a step or contribution, as JSON. */
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

/** Every variable with its new values. Only those that had a gradient have figures. */
function withValues(figures: Readonly<Record<string, object>>, values: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, { ...figures[name], values: value }]),
  );
}
