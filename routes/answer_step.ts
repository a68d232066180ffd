/** The answer to a step: its figures, and the new values where the caller asked for them. */
import type { RunSession, StepAnswer } from "../src/run/api.ts";
import { answerJson, answerPreferred, answerTensors, nestByName, sayable } from "./answer.ts";
import type { AppContext, Services } from "./context.ts";
import type { TensorType } from "./negotiate.ts";

interface Step {
  readonly run: RunSession;
  readonly step: StepAnswer;
  /** The type in which the new values are wanted. */
  readonly representation: TensorType | undefined;
}

export function answerStep(c: AppContext, services: Services, { run, step, representation }: Step): Response {
  const figures = figuresOf(step);
  return answerPreferred({
    representation: step.applied ? representation : undefined,
    plain: () => answerJson(c, figures, { run }),
    full: (type) => {
      const publication = run.publish();
      const { tensors } = publication;
      return answerTensors(c, services, {
        type,
        run,
        tensors,
        figures,
        json: () => ({ ...figures, variables: withValues(figures.variables, nestByName(tensors)) }),
        release: () => publication.release(),
      });
    },
  });
}

/** The figures of the step that this request has made before. The run may be past it: the ETag is of that step. */
export function answerReplayed(c: AppContext, step: StepAnswer): Response {
  c.header("Idempotency-Replayed", "true");
  return answerJson(c, figuresOf(step), { run: step });
}

/** As JSON says them. */
export function figuresOf(step: StepAnswer) {
  const variables = Object.entries(step.variables).map(([name, { gradient_norm }]) =>
    [name, { gradient_norm: sayable(gradient_norm) }] as const
  );
  return {
    ...step,
    learning_rate: sayable(step.learning_rate),
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
