/**
 * Checks a contribution before a step is planned: unusual input gives a warning, invalid input is refused. Names,
 * shapes, dtypes and indices were checked when the body was received (staging.ts).
 */
import { refusal, StepwellError, type Subject } from "../../errors.ts";
import { showShape } from "../../tensor.ts";
import type { StepOptions } from "../api/steps.ts";
import type { NonFinite, ResolvedSpec } from "../spec/spec.ts";
import { firstNonFinite } from "../staging/non_finite.ts";
import type { Staged } from "../staging/staged.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { RunState } from "../tensors/state.ts";

/** The gradient of a variable as the subject of an error. */
export function gradientOf(name: string): Subject {
  return { path: `gradients.${name}`, called: `the gradient of "${name}"` };
}

/** Throws iterations_exhausted if the next count of iterations could not be told from its neighbours. */
export function checkIterations({ iterations }: RunState): void {
  if (iterations < Number.MAX_SAFE_INTEGER) return;
  throw new StepwellError(
    "iterations_exhausted",
    `Cannot step: the run is at iteration ${iterations}, must be below 2^53 - 1`,
  );
}

/**
 * Checks everything except the numbers and returns warnings. Throws, in this order, iterations_exhausted,
 * invalid_request for a `base_iteration` in the future, no_gradients, sparse_with_aggregator, sparse_with_constraint.
 */
export function checkContribution(
  state: RunState,
  { size, apart, absent }: ArenaStaging,
  { baseIteration, isRecorded }: Pick<StepOptions, "baseIteration" | "isRecorded">,
): string[] {
  const { iterations, variables } = state;
  if (!isRecorded) checkIterations(state);
  if (baseIteration !== undefined && baseIteration > iterations) {
    const problem = `is ${baseIteration}, must be at most ${iterations}, the run's iterations`;
    throw refusal("invalid_request", "step", "base_iteration", problem);
  }
  if (size === 0) {
    const names = variables.keys().take(20).toArray().join(", ");
    throw new StepwellError(
      "no_gradients",
      `Cannot step: no gradients provided for any variable, must be for one or more of ${names}`,
      [{ path: "gradients", message: "has no gradient, must have one or more" }],
    );
  }
  for (const { kind, variable: { name, role, constraint } } of apart.values()) {
    if (kind === "dense") continue;
    if (role === "average") {
      const problem = 'is sparse, must be dense: the variable has the role "average"';
      throw refusal("sparse_with_aggregator", "step", gradientOf(name), problem);
    }
    if (!constraint) continue;
    const problem =
      `is sparse, must be dense: the variable has the constraint ${constraint.member.class_name}`;
    throw refusal("sparse_with_constraint", "step", gradientOf(name), problem);
  }
  if (absent.length === 0) return [];
  return [`Gradients do not exist for the variables ${absent.join(", ")}: they stay as they are`];
}

/** Throws sparse_with_noise for a sparse gradient if a transformer adds noise, which must reach all rows. */
export function checkNoise(
  { transformers }: Pick<ResolvedSpec, "transformers">,
  gradients: Iterable<Staged>,
): void {
  const noise = transformers.find(({ member }) => member.rule.kind === "noise");
  if (!noise) return;
  for (const { kind, variable: { name } } of gradients) {
    if (kind === "dense") continue;
    const problem =
      `is sparse, must be dense: the run's transformer ${noise.member.class_name} has to reach every row`;
    throw refusal("sparse_with_noise", "step", gradientOf(name), problem);
  }
}

/**
 * Returns the reason why the step is skipped, or an empty list. Throws non_finite_gradient with the policy "reject".
 */
export function checkFinite(state: RunState, staging: ArenaStaging, policy: NonFinite): string[] {
  if (policy === "propagate") return [];
  const areFinite = staging.together?.squares.every(Number.isFinite) ?? true;
  const tensors = areFinite ? staging.apart : staging.tensors;
  for (const staged of tensors.values()) {
    const found = firstNonFinite(state, staged);
    if (!found) continue;
    const { name, shape } = staged.variable;
    const where = `at ${found.at} (the variable has shape ${showShape(shape)})`;
    const problem = `is ${found.value} ${where}, must be finite`;
    if (policy === "skip") return [`The step was skipped: ${gradientOf(name).called} ${problem}`];
    throw refusal("non_finite_gradient", "step", gradientOf(name), problem);
  }
  return [];
}
