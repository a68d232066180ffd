/** Describes a run: its spec with every default filled in, and its present state. */
import { serializeAggregation } from "../spec/aggregation.ts";
import type { DescribedOptimizer, GroupDescription, RunDescription } from "../api/run_description.ts";
import { serialize } from "../../families/mechanism/family.ts";
import type { ResolvedSpec } from "../spec/spec.ts";
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
  readonly groups: readonly GroupDescription[];
}

/** Describes everything except storage. */
export function describeRun(
  { id, createdAt, version, round, spec, state, optimizer, groups }: Described,
): Omit<RunDescription, "journal_bytes" | "snapshot_version"> {
  return {
    id,
    iterations: state.iterations,
    version,
    created_at: createdAt,
    optimizer,
    ...groups.length > 0 && { groups },
    ...spec.optimizer.sparse !== undefined && { sparse: spec.optimizer.sparse },
    variables: variablesOf(spec),
    slots: state.slotNames,
    parameters: state.parameters,
    bytes: state.bytes,
    aggregation: serializeAggregation(spec.aggregation),
    clip_norm: state.clipNorm,
    round: spec.aggregation.mode === "immediate" ? null : round,
    gradient_transformers: spec.transformers.map(serialize),
    non_finite: spec.nonFinite,
    durability: spec.durability,
    warnings: spec.warnings,
  };
}

/** They do not change: a run may have many, and is described often. */
const described = new WeakMap<ResolvedSpec["variables"], RunDescription["variables"]>();

function variablesOf({ variables }: ResolvedSpec): RunDescription["variables"] {
  const found = described.get(variables) ?? variables.map(({ name, shape, constraint, role }) => ({
    name,
    shape,
    dtype: "float32" as const,
    constraint: constraint?.member ?? null,
    role,
  }));
  described.set(variables, found);
  return found;
}
