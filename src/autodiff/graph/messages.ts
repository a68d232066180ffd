/** What goes to a worker and what comes back. Data only. */
import type { ErrorCode, Issue } from "../../errors.ts";
import type { NamedTensor, Shape } from "../../tensor.ts";
import type { Graph } from "./loss_graph.ts";

export interface Job {
  readonly graph: Graph;
  /** Those that the graph names, and only those. */
  readonly variables: readonly NamedTensor[];
  readonly inputs: readonly NamedTensor[];
  /** Variables to differentiate by. */
  readonly watched: readonly string[];
  /** What the loss's gradient begins with; absent: ones. */
  readonly lossGradient?: Float32Array<ArrayBuffer> | undefined;
  /** What noise follows from, beside its seed. */
  readonly iteration: number;
}

/** What a worker is asked. */
export interface Request {
  readonly job: Job;
  /** How long it may take. */
  readonly seconds: number;
}

/** Rows of the variable, in the order in which the loss took them; repeated ones add up. */
export interface Rows extends NamedTensor {
  readonly indices: Int32Array<ArrayBuffer>;
}

export type Gradient = NamedTensor | Rows;

export interface Evaluation {
  readonly loss: { readonly shape: Shape; readonly values: Float32Array<ArrayBuffer> };
  /** Of the watched variables that the loss depends on. */
  readonly gradients: readonly Gradient[];
  /** New values of variables of role "average". */
  readonly updates: readonly NamedTensor[];
}

export type Reply =
  | { readonly kind: "ready" }
  | { readonly kind: "done"; readonly heapBytes: number; readonly evaluation: Evaluation }
  | {
    readonly kind: "refused";
    readonly heapBytes: number;
    readonly code: ErrorCode;
    readonly message: string;
    readonly issues: readonly Issue[];
  }
  | { readonly kind: "failed"; readonly error: string };
