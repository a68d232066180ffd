/** The tensors of a body as they lie in staging. */
import type { VariableState } from "../tensors/variable_state.ts";
import type { WireBytes } from "./float_region.ts";

/** A dense tensor in staging. */
export interface StagedDense {
  readonly kind: "dense";
  readonly variable: VariableState;
  /** Byte offset of the float32 values. */
  readonly values: number;
  readonly count: number;
  /** Float64 sum of the float32 squares; finite only if every element is. */
  squares: number;
  readonly wire: WireBytes;
  /** For a tensor received as entries, whose values are at `wire`: byte offset of their int32 element numbers. */
  readonly entries?: { readonly indices: number; readonly count: number };
}

/** Rows of a variable in staging. */
export interface StagedSparse {
  readonly kind: "sparse";
  readonly variable: VariableState;
  /** Byte offset of the int32 row numbers, each in range. */
  readonly indices: number;
  readonly rows: number;
  readonly values: number;
  readonly count: number;
  squares: number;
  readonly wire: WireBytes;
}

export type Staged = StagedDense | StagedSparse;
