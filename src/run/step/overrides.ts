/** Hyperparameters that a request overrides for one step. They do not outlive the step. */
import { refusal, StepwellError } from "../../errors.ts";
import { overwrite } from "../../families/optimizers/attributes.ts";
import { type Optimizer, ruleOf } from "../../families/optimizers/optimizer.ts";
import type { RunState } from "../tensors/state.ts";

/**
 * Returns the optimizer of the step, and warnings. Throws what {@link overwrite} throws, and invalid_config for
 * switches that need a slot which the run does not have.
 */
export function forOneStep(
  optimizer: Optimizer,
  hyperparameters: Readonly<Record<string, unknown>> | undefined,
  { hypersCreated, slotNames }: RunState,
): { optimizer: Optimizer; warnings: readonly string[] } {
  if (hyperparameters === undefined) return { optimizer, warnings: [] };
  const stepping = overwriteAt(optimizer, hyperparameters, hypersCreated);
  const missing = Object.keys(ruleOf(stepping.optimizer).slots).find((slot) => !slotNames.includes(slot));
  if (missing === undefined) return stepping;
  const problem = `need the slot "${missing}", which the run does not have: patch the optimizer instead`;
  const subject = { path: "hyperparameters", called: "hyperparameters for one step" };
  throw refusal("invalid_config", "step", subject, problem);
}

/** Calls `overwrite`, and gives issues the path of the step's hyperparameters. */
function overwriteAt(
  optimizer: Optimizer,
  hyperparameters: Readonly<Record<string, unknown>>,
  hypersCreated: boolean,
) {
  try {
    return overwrite(optimizer, hyperparameters, { hypersCreated });
  } catch (error) {
    if (!(error instanceof StepwellError)) throw error;
    const issues = error.issues.map((issue) => ({
      ...issue,
      path: issue.path.replace(/^config\b/, "hyperparameters"),
    }));
    throw new StepwellError(error.code, error.message, issues);
  }
}
