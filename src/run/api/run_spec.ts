/** What a run is created with, as a caller writes it. */
import type { Shape } from "../../tensor.ts";

/** A family member as a caller writes it: a bare class name, or `{class_name, config?, module?, registered_name?}`. */
export type MemberSpec = unknown;

export interface VariableSpec {
  readonly name: string;
  readonly shape: Shape;
  /** Nested numbers, one number, a base64 tensor or an initializer; absent: zeros. */
  readonly initial?: unknown;
  readonly constraint?: MemberSpec;
  /** "average": not optimized, the weighted mean of the clients' values (batch-norm statistics). */
  readonly role?: VariableRole | undefined;
}

export type VariableRole = "optimize" | "average";

/** What a contribution's tensors are: gradients, new − old weights of the client, or its new weights. */
export type Payload = "gradient" | "delta" | "weights";

/** Seconds that a round's deadline may be away: 23 days. */
export const DEADLINE_SECONDS_MAX = 2_000_000;

export const NOISE_SEED_MAX = 2 ** 32 - 1;

/** Gaussian noise on the sum of the contributions, before any division. */
export interface Noise {
  readonly stddev: number;
  /** An integer in 0..NOISE_SEED_MAX. */
  readonly seed: number;
}

/** Which contributions become one step, and what is done to each before. */
export interface AggregationSpec {
  readonly mode: "immediate" | "round" | "buffer";
  /** Of mode round: contributions of distinct clients that close it. */
  readonly quorum?: number | undefined;
  /** Of mode round: those that suffice at the deadline; absent: the quorum. */
  readonly minimum?: number | undefined;
  /** Of mode round: from its first contribution on; absent: none. */
  readonly deadline_seconds?: number | null | undefined;
  /** Of mode buffer: contributions that make a step. */
  readonly buffer_size?: number | undefined;
  readonly aggregator?: MemberSpec;
  readonly payload?: Payload | undefined;
  /** The largest staleness that is taken; null: any. Absent: 0 in mode round, else any. */
  readonly max_staleness?: number | null | undefined;
  readonly staleness_weighting?: MemberSpec;
  /** Bound on the L2 norm of each contribution, over all variables; null or absent: none. */
  readonly client_clipnorm?: number | null | undefined;
  readonly noise?: Noise | null | undefined;
}

export interface RunSpec {
  /** Made up when absent. */
  readonly id?: string | undefined;
  readonly optimizer: MemberSpec;
  readonly variables: readonly VariableSpec[];
  readonly aggregation?: AggregationSpec | undefined;
  readonly gradient_transformers?: readonly MemberSpec[] | undefined;
  readonly non_finite?: "reject" | "skip" | "propagate" | undefined;
  readonly durability?: "journal" | "snapshot" | "none" | undefined;
}
