/**
 * The fields, query and errors that all contributing operations share, whether gradients are sent or computed here.
 */
import type { ErrorCode } from "../../src/errors.ts";
import { weight } from "../../src/float32.ts";
import type { StepOptions } from "../../src/run/api/steps.ts";
import { flag, requestHeader, z } from "../contract/operation.ts";
import { ClientId } from "../http/ids.ts";

/** Fields of the body other than the gradients or the loss. */
export const STEP_FIELDS = {
  client_id: ClientId.optional(),
  weight: weight().optional().openapi({
    description: "What this contribution weighs, say the number of examples.",
    example: 32,
  }),
  hyperparameters: z.record(z.string(), z.unknown()).optional().openapi({
    description: "Overwritten for this step only.",
    example: { learning_rate: 0.01 },
  }),
};

export const StepQuery = z.strictObject({
  aggregate: flag(
    "false: the caller has aggregated, apply now (`experimental_aggregate_gradients`). Needs the scope write.",
    true,
  ),
  dry_run: flag("true: say what would happen, change nothing.", false),
});

export const STEP_PREFER = requestHeader(
  "Prefer",
  "`return=representation`: the answer to a step carries the new values. `wait=SECONDS`: where the round is open " +
    "still, the answer waits for its step.",
  "wait=30, return=representation",
);

/** The refusals common to all contributing operations. */
export const STEP_ERRORS: readonly ErrorCode[] = [
  "unknown_run",
  "run_replaced",
  "version_mismatch",
  "not_acceptable",
  "contribution_repeated",
  "too_stale",
  "round_dropped",
  "iterations_exhausted",
  "contribution_withdrawn",
  "non_finite_gradient",
  "no_gradients",
  "sparse_with_constraint",
  "sparse_with_aggregator",
  "sparse_with_noise",
  "invalid_config",
  "unknown_class",
  "out_of_memory",
  "key_in_progress",
  "key_reused",
  "run_damaged",
  "storage_full",
  "storage_failed",
];

interface StepFields {
  readonly weight?: number | undefined;
  readonly hyperparameters?: Readonly<Record<string, unknown>> | undefined;
}

export function stepOptions(fields: StepFields, query: z.output<typeof StepQuery>): StepOptions {
  return {
    aggregate: query.aggregate,
    dryRun: query.dry_run,
    weight: fields.weight,
    hyperparameters: fields.hyperparameters,
  };
}
