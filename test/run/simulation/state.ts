/** The state of a run in the model, and its changes. A state is immutable; a change makes a new one. */
import type { ErrorCode } from "../../../src/errors.ts";
import type { Variable } from "../step/support/oracle.ts";
import type { Tensor, Weighted } from "./arithmetic.ts";
import type { RunPlan } from "./plans.ts";

export interface Body {
  readonly tensors: readonly Tensor[];
  readonly client_id?: string;
  readonly base_iteration?: number;
  readonly weight?: number;
  readonly hyperparameters?: { readonly learning_rate: number };
}

/** Options with which a body is sent. */
export interface Request {
  readonly key?: { readonly key: string; readonly hash: string };
  readonly aggregate: boolean;
  readonly dryRun: boolean;
}

export interface Accepted extends Weighted {
  readonly clientId: string | null;
  readonly staleness: number;
  readonly acceptedAt: number;
  readonly version: number;
  readonly key: Request["key"];
}

export interface State {
  readonly sequence: number;
  readonly version: number;
  readonly iterations: number;
  readonly round: number;
  readonly rate: number;
  readonly contributions: readonly Accepted[];
  readonly variables: Readonly<Record<string, Variable>>;
  readonly replies: ReadonlyMap<string, { readonly hash: string; readonly answer: unknown }>;
}

/** A change, its answer, and its events. */
export interface Change {
  readonly state: State;
  readonly answer: unknown;
  /** Key of the request that made it. */
  readonly key?: string;
  readonly events: readonly { readonly type: string; readonly data: unknown }[];
}

export class Refused extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode) {
    super(code);
    this.code = code;
  }
}

export function begin({ learning_rate, variables }: RunPlan): State {
  return {
    sequence: 0,
    version: 0,
    iterations: 0,
    round: 0,
    rate: learning_rate,
    contributions: [],
    variables: Object.fromEntries(
      variables.map(({ name, shape, initial }) => [
        name,
        { shape, w: [...initial], slots: { momentum: initial.map(() => 0) } },
      ]),
    ),
    replies: new Map(),
  };
}

export const place = ({ iterations, version }: State) => ({ iterations, version });

export function deadline({ deadline_seconds }: RunPlan, { contributions: [first] }: State): number | null {
  return first && deadline_seconds !== null ? first.acceptedAt + 1000 * deadline_seconds : null;
}

export function deadlineText(plan: RunPlan, state: State): string | null {
  const at = deadline(plan, state);
  return at === null ? null : new Date(at).toISOString();
}

export const missing = ({ wanted }: RunPlan, { contributions }: State) =>
  Math.max(0, wanted - contributions.length);

/** The variables with the role "average". */
export const averagesOf = ({ variables }: RunPlan) =>
  new Set(variables.filter(({ isAverage }) => isAverage).map(({ name }) => name));

export const isFinite = ({ tensors }: Body) => tensors.every(({ values }) => values.every(Number.isFinite));

export const normsOf = (norms: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(norms).map(([name, gradient_norm]) => [name, { gradient_norm }]));

/** Remembers the answer to a keyed request. */
export function replied(state: State, key: Request["key"], answer: unknown): State {
  if (!key) return state;
  return { ...state, replies: new Map([...state.replies, [key.key, { hash: key.hash, answer }]]) };
}
