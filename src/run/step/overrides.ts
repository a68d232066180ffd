/** Hyperparameters that a request overrides for one step. They do not outlive the step. */
import { refusal, StepwellError } from "../../errors.ts";
import { overwriteGroups, type ResolvedGroup } from "../spec/groups.ts";
import { type Optimizer, ruleOf } from "../../families/optimizers/optimizer.ts";
import type { RunState } from "../tensors/state.ts";

type Optimizers = readonly [Optimizer, ...Optimizer[]];

/**
 * Returns the optimizers of the step by group, and warnings: as when the run's optimizer is overwritten, groups follow
 * in what is not their own. Throws what `overwrite` throws, and invalid_config for switches that need a slot which the
 * run does not have.
 */
export function forOneStep(
  optimizers: Optimizers,
  hyperparameters: Readonly<Record<string, unknown>> | undefined,
  { state: { hypersCreated, homes }, groups }: {
    readonly state: RunState;
    readonly groups: readonly ResolvedGroup[];
  },
): { optimizers: Optimizers; warnings: readonly string[] } {
  if (hyperparameters === undefined) return { optimizers, warnings: [] };
  const stepping = overwriteAt(optimizers, groups, hyperparameters, hypersCreated);
  const slots = stepping.optimizers.map((optimizer) => Object.keys(ruleOf(optimizer).slots));
  const missing = homes.filter(({ role }) => role === "optimize")
    .flatMap(({ group, slots: has }) => (slots[group] as string[]).filter((slot) => !has.has(slot)))[0];
  if (missing === undefined) return stepping;
  const problem = `need the slot "${missing}", which the run does not have: patch the optimizer instead`;
  const subject = { path: "hyperparameters", called: "hyperparameters for one step" };
  throw refusal("invalid_config", "step", subject, problem);
}

/** Calls `overwriteGroups`, and gives issues the path of the step's hyperparameters. */
function overwriteAt(
  optimizers: Optimizers,
  groups: readonly ResolvedGroup[],
  hyperparameters: Readonly<Record<string, unknown>>,
  hypersCreated: boolean,
) {
  try {
    const options = { group: undefined, hypersCreated, action: "step" };
    const { optimizers: overwritten, warnings } = overwriteGroups(
      optimizers,
      groups,
      hyperparameters,
      options,
    );
    return { optimizers: overwritten as Optimizers, warnings };
  } catch (error) {
    if (!(error instanceof StepwellError)) throw error;
    const issues = error.issues.map((issue) => ({
      ...issue,
      path: issue.path.replace(/^config\b/, "hyperparameters"),
    }));
    throw new StepwellError(error.code, error.message, issues);
  }
}
