/** The answer to a step: its figures, and the new values where the caller asked for them. */
import { StepwellError } from "../src/errors.ts";
import type { RunSession, StepAnswer } from "../src/run/api.ts";
import { answerJson, answerTensors, nestByName, sayable } from "./answer.ts";
import type { AppContext, Services } from "./context.ts";
import type { TensorType } from "./negotiate.ts";

interface Step {
  readonly run: RunSession;
  readonly step: StepAnswer;
  /** The type in which the new values are wanted. */
  readonly representation: TensorType | undefined;
}

/**
 * Never a refusal: the step has been applied. Values that cannot be had (no memory for the copy, too many for JSON)
 * are left out, as a server may with a preference; `Preference-Applied` tells.
 */
export function answerStep(c: AppContext, services: Services, { run, step, representation }: Step): Response {
  const figures = figuresOf(step);
  if (!step.applied || representation === undefined) return answerJson(c, figures, { run });
  try {
    const publication = run.publish();
    const answer = answerTensors(c, services, {
      type: representation,
      run,
      tensors: publication.tensors,
      figures,
      json: () => ({ ...figures, variables: withValues(figures.variables, nestByName(publication.tensors)) }),
      release: () => publication.release(),
    });
    answer.headers.set("Preference-Applied", "return=representation");
    return answer;
  } catch (error) {
    if (error instanceof StepwellError) return answerJson(c, figures, { run });
    throw error;
  }
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
