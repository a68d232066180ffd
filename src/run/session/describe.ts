/** Describes a run: its spec with every default filled in, and its present state. */
import { serializeAggregation } from "../spec/aggregation.ts";
import type { DescribedOptimizer, Member, RunDescription } from "../api/run_description.ts";
import { type ResolvedSpec, serializeSpec } from "../spec/spec.ts";
import type { RunState } from "../tensors/state.ts";

interface Described {
  readonly id: string;
  readonly createdAt: string;
  readonly version: number;
  /** The number of the open round. */
  readonly round: number;
  readonly spec: ResolvedSpec;
  readonly state: RunState;
  readonly optimizer: DescribedOptimizer;
}

/** Describes everything except storage. */
export function describeRun(
  { id, createdAt, version, round, spec, state, optimizer }: Described,
): Omit<RunDescription, "journal_bytes" | "snapshot_version"> {
  const variables = [...state.variables.values()];
  return {
    id,
    iterations: state.iterations,
    version,
    created_at: createdAt,
    optimizer,
    variables: variables.map(({ name, shape, constraint, role }) => ({
      name,
      shape,
      dtype: "float32",
      constraint: constraint?.member ?? null,
      role,
    })),
    slots: state.slotNames,
    parameters: variables.reduce((sum, { count }) => sum + count, 0),
    bytes: state.bytes,
    aggregation: serializeAggregation(spec.aggregation),
    clip_norm: state.clipNorm,
    round: spec.aggregation.mode === "immediate" ? null : round,
    gradient_transformers: serializeSpec(spec, optimizer).gradient_transformers as readonly Member[],
    non_finite: spec.nonFinite,
    durability: spec.durability,
    warnings: spec.warnings,
  };
}
