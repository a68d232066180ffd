/** The description of a run: its spec with every default filled in, and its present state. */
import type { Shape } from "../../tensor.ts";
import type { Noise, Payload, SparseMode, VariableRole } from "./run_spec.ts";

/** A family member as the service writes it. */
export interface Member {
  readonly class_name: string;
  /** As the optimizer was written; absent for other members. */
  readonly module?: string;
  readonly registered_name?: string | null;
  readonly config: Readonly<Record<string, unknown>>;
}

/** An optimizer as a spec takes it. */
export interface DescribedOptimizer extends Member {
  /** What was overwritten so that no constructor makes it; absent without any. */
  readonly attributes?: Readonly<Record<string, unknown>>;
}

/** A group as a spec takes it. */
export interface GroupDescription {
  readonly name: string;
  readonly variables: readonly string[];
  /** Absent for a group with an optimizer of its own. */
  readonly hyperparameters?: Readonly<Record<string, unknown>>;
  readonly optimizer?: DescribedOptimizer;
  readonly sparse: SparseMode;
}

/** The aggregation with every default filled in. Fields of other modes are absent. */
export interface AggregationDescription {
  readonly mode: "immediate" | "round" | "buffer";
  readonly quorum?: number;
  readonly minimum?: number;
  readonly deadline_seconds?: number | null;
  readonly buffer_size?: number;
  readonly aggregator: Member;
  readonly payload: Payload;
  readonly max_staleness: number | null;
  readonly staleness_weighting: Member;
  /** A member moves the bound from step to step. */
  readonly client_clipnorm: number | Member | null;
  /** Absent for aggregators that add contributions up, which take any variables. */
  readonly partial?: boolean;
  readonly noise: Noise | null;
}

export interface RunDescription {
  readonly id: string;
  readonly iterations: number;
  readonly version: number;
  /** RFC 3339, UTC. */
  readonly created_at: string;
  readonly optimizer: DescribedOptimizer;
  /** Absent without any. */
  readonly groups?: readonly GroupDescription[];
  /** Absent: keras. */
  readonly sparse?: SparseMode;
  readonly variables: readonly {
    readonly name: string;
    readonly shape: Shape;
    readonly dtype: "float32";
    readonly constraint: Member | null;
    readonly role: VariableRole;
  }[];
  readonly slots: readonly string[];
  /** Count of the elements of all variables. */
  readonly parameters: number;
  /** Bytes of variables and slots in memory. */
  readonly bytes: number;
  readonly aggregation: AggregationDescription;
  /** The bound on the norm of the next contribution; null without one. */
  readonly clip_norm: number | null;
  /** Number of the open round, from 0; null in mode immediate. */
  readonly round: number | null;
  readonly gradient_transformers: readonly Member[];
  readonly non_finite: "reject" | "skip" | "propagate";
  readonly durability: "journal" | "snapshot" | "none";
  /** Bytes that recovery would replay; 0 without a journal. */
  readonly journal_bytes: number;
  /** The version of the newest snapshot; null without one. */
  readonly snapshot_version: number | null;
  readonly warnings: readonly string[];
}
