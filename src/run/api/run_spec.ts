/** The spec of a new run, as a caller writes it. */
import type { Shape } from "../../tensor.ts";

/**
 * A family member as a caller writes it: a bare class name, or `{class_name, config?, module?, registered_name?}`.
 */
export type MemberSpec = unknown;

export interface VariableSpec {
  readonly name: string;
  readonly shape: Shape;
  /** Nested numbers, one number, a base64 tensor or an initializer; absent: zeros. */
  readonly initial?: unknown;
  readonly constraint?: MemberSpec;
  /** "average": not optimized, but set to the weighted mean of the clients' values (batch-norm statistics). */
  readonly role?: VariableRole | undefined;
}

export type VariableRole = "optimize" | "average";

/** The meaning of a contribution's tensors: gradients, the client's new − old weights, or its new weights. */
export type Payload = "gradient" | "delta" | "weights";

/** The longest time from a round's first contribution to its deadline: 23 days. */
export const DEADLINE_SECONDS_MAX = 2_000_000;

export const NOISE_SEED_MAX = 2 ** 32 - 1;

/**
 * Gaussian noise on the sum of the contributions, before any division. Either `stddev` or `multiplier` is there.
 */
export interface Noise {
  readonly stddev?: number | undefined;
  /** The standard deviation as a multiple of the bound on the contributions' norms. */
  readonly multiplier?: number | undefined;
  /** An integer in 0..NOISE_SEED_MAX. */
  readonly seed: number;
}

/** Which contributions become one step, and how each is prepared. */
export interface AggregationSpec {
  readonly mode: "immediate" | "round" | "buffer";
  /** Mode round: count of contributions from distinct clients that closes a round. */
  readonly quorum?: number | undefined;
  /** Mode round: count of contributions that suffices at the deadline; absent: the quorum. */
  readonly minimum?: number | undefined;
  /** Mode round: seconds from the first contribution to the deadline; absent: no deadline. */
  readonly deadline_seconds?: number | null | undefined;
  /** Mode buffer: count of contributions that makes a step. */
  readonly buffer_size?: number | undefined;
  readonly aggregator?: MemberSpec;
  readonly payload?: Payload | undefined;
  /** The largest staleness that is accepted; null: any. Absent: 0 in mode round, else any. */
  readonly max_staleness?: number | null | undefined;
  readonly staleness_weighting?: MemberSpec;
  /** Bound on the L2 norm of each contribution, over all variables, or what moves it; null or absent: none. */
  readonly client_clipnorm?: MemberSpec | number | null | undefined;
  /** Aggregators that keep whole contributions: whether one may leave variables out. Absent: false. */
  readonly partial?: boolean | undefined;
  readonly noise?: Noise | null | undefined;
}

/** Globs of a group, and letters of one. */
export const PATTERNS_MAX = 1000, PATTERN_LENGTH_MAX = 256;

/** Variables that step with hyperparameters, or with an optimizer, of their own. */
export interface GroupSpec {
  readonly name: string;
  /** Globs of names; the first group that fits takes a variable. */
  readonly variables: readonly string[];
  /** In place of those of the run's optimizer. */
  readonly hyperparameters?: Readonly<Record<string, unknown>> | undefined;
  /** In place of the run's optimizer. */
  readonly optimizer?: MemberSpec;
  readonly sparse?: SparseMode | undefined;
}

/** What sparse gradients do: the optimizer's own rule, only the rows that came, or as if they were dense. */
export type SparseMode = "keras" | "lazy" | "exact";

export interface RunSpec {
  /** Generated if absent. */
  readonly id?: string | undefined;
  readonly optimizer: MemberSpec;
  readonly groups?: readonly GroupSpec[] | undefined;
  /** Of all groups that say nothing else. */
  readonly sparse?: SparseMode | undefined;
  readonly variables: readonly VariableSpec[];
  readonly aggregation?: AggregationSpec | undefined;
  readonly gradient_transformers?: readonly MemberSpec[] | undefined;
  readonly non_finite?: "reject" | "skip" | "propagate" | undefined;
  readonly durability?: "journal" | "snapshot" | "none" | undefined;
}
