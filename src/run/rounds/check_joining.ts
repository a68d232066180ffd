/**
 * Checks that a contribution can join the open round, in addition to the checks of every contribution
 * (check_contribution.ts). Checks change nothing.
 */
import { refusal, StepwellError } from "../../errors.ts";
import { FLOAT32_MAX } from "../../float32.ts";
import type { Aggregation } from "../spec/aggregation.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import { gradientOf } from "../step/check_contribution.ts";
import type { RunState } from "../tensors/state.ts";
import type { Claims, Contribution } from "./contribution.ts";

interface OpenRound {
  readonly number: number;
  readonly contributions: readonly Contribution[];
  /** The run's iterations. */
  readonly iterations: number;
  readonly maxStaleness: number | null;
}

/** Throws contribution_repeated, too_stale, invalid_request. */
export function checkClaims(
  { clientId, hyperparameters, baseIteration }: Claims,
  staleness: number,
  { number, contributions, iterations, maxStaleness }: OpenRound,
): void {
  if (clientId !== undefined && contributions.some((each) => each.clientId === clientId)) {
    throw new StepwellError(
      "contribution_repeated",
      `Cannot contribute to round ${number}: it has a contribution of the client ${
        JSON.stringify(clientId)
      }, must be at most one per client`,
    );
  }
  if (maxStaleness !== null && staleness > maxStaleness) {
    throw new StepwellError(
      "too_stale",
      `Cannot contribute to round ${number}: base_iteration is ${baseIteration}, must be ${
        Math.max(0, iterations - maxStaleness)
      } or more: the run is at iteration ${iterations} and takes a staleness of at most ${maxStaleness}`,
    );
  }
  if (hyperparameters) {
    const problem = "are given, must be absent: the step of a round belongs to all of its contributions";
    throw refusal("invalid_request", "contribute", "hyperparameters", problem);
  }
}

/** Throws sparse_with_aggregator for a sparse tensor if the round needs dense ones. */
export function checkDense({ tensors }: ArenaStaging, { noise, aggregator, rule }: Aggregation): void {
  for (const { kind, variable: { name } } of tensors.values()) {
    if (kind === "dense") continue;
    const why = noise
      ? "the run adds noise to every element"
      : rule.kind === "list"
      ? `${aggregator.member.class_name} compares whole tensors`
      : undefined;
    if (why === undefined) continue;
    const problem = `is sparse, must be dense: ${why}`;
    throw refusal("sparse_with_aggregator", "contribute", gradientOf(name), problem);
  }
}

/**
 * Throws invalid_request unless the contribution has every variable, if the aggregator compares whole contributions
 * and the run does not say that they may be partial.
 */
export function checkWhole(
  { tensors }: ArenaStaging,
  { variables }: RunState,
  { mode, rule, partial, aggregator }: Aggregation,
): void {
  if (rule.kind === "sum" || partial || mode === "immediate" || tensors.size === variables.size) return;
  const name = [...variables.keys()].find((each) => !tensors.has(each)) as string;
  const problem = `is missing, must be given: ${aggregator.member.class_name} compares whole contributions ` +
    "(aggregation.partial lets them leave variables out)";
  throw refusal("invalid_request", "contribute", gradientOf(name), problem);
}

/** Throws invalid_request unless the contribution has the loss that the aggregator reads. */
export function checkLoss({ loss }: Pick<Claims, "loss">, { rule, aggregator }: Aggregation): void {
  if (rule.kind !== "sum" || rule.lossMin === undefined) return;
  if (typeof loss === "number" && loss >= rule.lossMin && loss <= FLOAT32_MAX) return;
  const given = loss === undefined ? "is missing" : `is ${loss}`;
  const { class_name: name } = aggregator.member;
  throw refusal(
    "invalid_request",
    "contribute",
    "loss",
    `${given}, must be from ${rule.lossMin} to ${FLOAT32_MAX}: ${name} reads it`,
  );
}
