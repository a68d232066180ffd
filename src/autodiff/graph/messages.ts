/** The messages to and from a worker. Data only. */
import type { ErrorCode, Issue } from "../../errors.ts";
import type { NamedTensor, Shape } from "../../tensor.ts";
import type { Graph } from "./loss_graph.ts";

export interface Job {
  readonly graph: Graph;
  /** Exactly the variables that the graph reads. */
  readonly variables: readonly NamedTensor[];
  readonly inputs: readonly NamedTensor[];
  /** The variables to differentiate with respect to. */
  readonly watched: readonly string[];
  /** The gradient of the loss to start from; absent: ones. */
  readonly lossGradient?: Float32Array<ArrayBuffer> | undefined;
  /** Determines the noise, together with its seed. */
  readonly iteration: number;
}

/** A request to a worker. */
export interface Request {
  readonly job: Job;
  /** The time limit. */
  readonly seconds: number;
}

/** Rows of a variable's gradient, in the order in which the loss looked them up. Repeated rows add up. */
export interface Rows extends NamedTensor {
  readonly indices: Int32Array<ArrayBuffer>;
}

export type Gradient = NamedTensor | Rows;

export interface Evaluation {
  readonly loss: { readonly shape: Shape; readonly values: Float32Array<ArrayBuffer> };
  /** The gradients of the watched variables that the loss depends on. */
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
