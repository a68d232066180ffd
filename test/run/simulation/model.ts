/**
 * What must be true of a run in a simulation: a state that is never changed but followed by another one, for every
 * change that the journal has. A naive account of DESIGN's rounds, without memory to manage and without failures.
 */
import type { ErrorCode } from "../../../src/errors.ts";
import { merged, momentum, type Rule, sgd, type Variable } from "../oracle.ts";
import {
  averaged,
  combined,
  prepared,
  roundedSquaresOf,
  squaresOf,
  type Tensor,
  type Weighted,
} from "./arithmetic.ts";
import { isHolding, isPlain, type RunPlan } from "./plans.ts";

export interface Body {
  readonly tensors: readonly Tensor[];
  readonly client_id?: string;
  readonly base_iteration?: number;
  readonly weight?: number;
  readonly hyperparameters?: { readonly learning_rate: number };
}

/** How a body is sent. */
export interface Request {
  readonly key?: { readonly key: string; readonly hash: string };
  readonly aggregate: boolean;
  readonly dryRun: boolean;
}

interface Accepted extends Weighted {
  readonly clientId: string | null;
  readonly staleness: number;
  readonly acceptedAt: number;
  readonly names: readonly string[];
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

/** A change, what who asked for it is told, and what watchers are told. */
export interface Change {
  readonly state: State;
  readonly answer: unknown;
  /** Of the request that made it. */
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

const place = ({ iterations, version }: State) => ({ iterations, version });

export function deadline({ deadline_seconds }: RunPlan, { contributions: [first] }: State): number | null {
  return first && deadline_seconds !== null ? first.acceptedAt + 1000 * deadline_seconds : null;
}

function deadlineText(plan: RunPlan, state: State): string | null {
  const at = deadline(plan, state);
  return at === null ? null : new Date(at).toISOString();
}

const missing = ({ wanted }: RunPlan, { contributions }: State) => Math.max(0, wanted - contributions.length);

/** What a body that has come in whole leads to: none, one or two changes, or the refusal after them. */
export function contribute(
  plan: RunPlan,
  before: State,
  { body, request, now }: { body: Body; request: Request; now: number },
): { readonly changes: readonly Change[]; readonly answer?: unknown; readonly refused?: ErrorCode } {
  const changes: Change[] = [];
  const follow = (change: Change) => {
    changes.push(change);
    return change.state;
  };
  try {
    if (isPlain(plan) || !request.aggregate) {
      check(plan, before, body);
      const change = stepAlone(plan, before, body, request);
      if (!request.dryRun) return { changes: [change] };
      return { changes, answer: { ...change.answer as object, applied: false, ...place(before) } };
    }
    const open = missing(plan, before) === 0 ? follow(close(plan, before)) : before;
    check(plan, open, body);
    const claims = checkRound(plan, open, body);
    if (request.dryRun) return { changes, answer: contributionAnswer(plan, open, claims, false) };
    const joined = follow(join(plan, open, { ...claims, acceptedAt: now, key: request.key }));
    if (missing(plan, joined) === 0) follow(close(plan, joined));
    return { changes };
  } catch (error) {
    if (error instanceof Refused) return { changes, refused: error.code };
    throw error;
  }
}

function check(plan: RunPlan, { iterations }: State, { tensors, base_iteration = 0 }: Body): void {
  if (base_iteration > iterations) throw new Refused("invalid_request");
  if (tensors.length === 0) throw new Refused("no_gradients");
  const averages = averagesOf(plan);
  if (tensors.some(({ name, indices }) => indices && averages.has(name))) {
    throw new Refused("sparse_with_aggregator");
  }
}

const averagesOf = ({ variables }: RunPlan) =>
  new Set(variables.filter(({ isAverage }) => isAverage).map(({ name }) => name));

const isFinite = ({ tensors }: Body) => tensors.every(({ values }) => values.every(Number.isFinite));

type Claims = Omit<Accepted, "acceptedAt" | "key">;

function checkRound(plan: RunPlan, state: State, body: Body): Claims {
  const { tensors, client_id: clientId = null, base_iteration, weight = 1 } = body;
  const { contributions, iterations, version } = state;
  if (clientId !== null && contributions.some((each) => each.clientId === clientId)) {
    throw new Refused("contribution_repeated");
  }
  const staleness = iterations - (base_iteration ?? iterations);
  if (staleness > (plan.max_staleness ?? Infinity)) throw new Refused("too_stale");
  if (body.hyperparameters) throw new Refused("invalid_request");
  if (isHolding(plan) && tensors.some(({ indices }) => indices)) throw new Refused("sparse_with_aggregator");
  const names = tensors.map(({ name }) => name), [first] = contributions;
  if (isHolding(plan) && first && [...names].sort().join() !== [...first.names].sort().join()) {
    throw new Refused("invalid_request");
  }
  if (!isFinite(body)) throw new Refused("non_finite_gradient");
  const preparation = prepared(plan, tensors, {
    variables: state.variables,
    averages: averagesOf(plan),
    staleness,
  });
  return { ...preparation, clientId, staleness, weight, names, version };
}

const normsOf = (norms: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(norms).map(([name, gradient_norm]) => [name, { gradient_norm }]));

function contributionAnswer(plan: RunPlan, state: State, claims: Claims, accepted: boolean) {
  return {
    applied: false,
    accepted,
    round: state.round,
    ...place(state),
    contributions: state.contributions.length,
    missing: missing(plan, state),
    deadline: deadlineText(plan, state),
    staleness: claims.staleness,
    weight: claims.weight,
    gradient_norm: claims.norm,
    clip_factor: claims.clipFactor,
    variables: normsOf(claims.norms),
    warnings: [],
  };
}

function join(plan: RunPlan, before: State, accepted: Accepted): Change {
  const joined = {
    ...before,
    sequence: before.sequence + 1,
    contributions: [...before.contributions, accepted],
  };
  const answer = contributionAnswer(plan, joined, accepted, true);
  const { round, contributions, missing, deadline } = answer;
  const data = { round, client_id: accepted.clientId, contributions, missing, deadline, ...place(joined) };
  const state = replied(joined, accepted.key, answer);
  return {
    state,
    answer,
    ...accepted.key && { key: accepted.key.key },
    events: [{ type: "contribution_accepted", data }],
  };
}

function replied(state: State, key: Request["key"], answer: unknown): State {
  if (!key) return state;
  return { ...state, replies: new Map([...state.replies, [key.key, { hash: key.hash, answer }]]) };
}

/** The open round becomes a step; who completed it is told, if nobody waited for its deadline. */
function close(plan: RunPlan, before: State, { isComplete = true } = {}): Change {
  const { contributions, round } = before;
  const ended = { ...before, round: round + 1, contributions: [] };
  const averages = plan.variables.flatMap(({ name, isAverage }) => {
    const values = isAverage ? averaged(contributions, name) : undefined;
    return values ? [[name, values] as const] : [];
  });
  const told = plan.mode === "immediate" ? {} : { round };
  const change = step(plan, ended, {
    gradients: combined(plan, contributions),
    squaresOf: roundedSquaresOf,
    told: { contributions: contributions.length, ...told },
  });
  const variables = { ...change.state.variables };
  for (const [name, w] of averages) variables[name] = { ...variables[name] as Variable, w };
  const state = { ...change.state, variables };
  const opened = { type: "round_opened", data: { round: round + 1, ...place(state) } };
  return {
    state: replied(state, isComplete ? contributions.at(-1)?.key : undefined, change.answer),
    answer: change.answer,
    events: plan.mode === "immediate" ? change.events : [...change.events, opened],
  };
}

function stepAlone(plan: RunPlan, before: State, body: Body, { key }: Request): Change {
  if (!isFinite(body)) throw new Refused("non_finite_gradient");
  const averages = averagesOf(plan);
  const gradients = body.tensors.filter(({ name }) => !averages.has(name));
  // What is asked for one step holds for that one.
  const { learning_rate = before.rate } = body.hyperparameters ?? {};
  const told = { contributions: 1 };
  const change = step(plan, { ...before, rate: learning_rate }, { gradients, squaresOf, told });
  const variables = { ...change.state.variables };
  for (const { name, values } of body.tensors.filter(({ name }) => averages.has(name))) {
    variables[name] = { ...variables[name] as Variable, w: [...values] };
  }
  const state = replied({ ...change.state, variables, rate: before.rate }, key, change.answer);
  return { ...change, state, ...key && { key: key.key } };
}

/** One step of the optimizer. */
function step(
  plan: RunPlan,
  before: State,
  { gradients, squaresOf, told }: {
    readonly gradients: readonly Tensor[];
    readonly squaresOf: (values: readonly number[]) => number;
    readonly told: { readonly contributions: number; readonly round?: number };
  },
): Change {
  const rule: Rule = plan.momentum > 0 ? momentum(before.rate, plan.momentum) : sgd(before.rate);
  const variables = { ...before.variables };
  const norms: Record<string, number> = {};
  let squares = 0;
  for (const { name } of plan.variables) {
    const gradient = gradients.find((each) => each.name === name);
    if (!gradient) continue;
    const variable = structuredClone(variables[name] as Variable);
    rule(
      variable,
      plan.momentum > 0 && gradient.indices ? merged(gradient) : gradient,
      before.iterations + 1,
    );
    variables[name] = variable;
    const own = squaresOf(gradient.values);
    norms[name] = Math.sqrt(own);
    squares += own;
  }
  const state = {
    ...before,
    sequence: before.sequence + 1,
    version: before.version + 1,
    iterations: before.iterations + 1,
    variables,
  };
  const figures = {
    applied: true,
    ...place(state),
    learning_rate: Math.fround(before.rate),
    gradient_norm: Math.sqrt(squares),
    clip_factor: 1,
    ...told,
  };
  const answer = { ...figures, variables: normsOf(norms), warnings: [] };
  return { state, answer, events: [{ type: "step_applied", data: figures }] };
}

/** What becomes of the open round at `now` without anybody's doing. */
export function passTime(plan: RunPlan, before: State, now: number): Change | undefined {
  const due = deadline(plan, before), count = before.contributions.length;
  if (missing(plan, before) === 0) return close(plan, before);
  if (due === null || due > now) return undefined;
  if (count >= plan.minimum) return close(plan, before, { isComplete: false });
  const state = { ...before, sequence: before.sequence + 1, round: before.round + 1, contributions: [] };
  const reason = `at its deadline it had ${count} of the ${plan.minimum} contributions that it needs`;
  const dropped = { round: before.round, reason, contributions: count, ...place(before) };
  return {
    state,
    answer: undefined,
    events: [
      { type: "round_dropped", data: dropped },
      { type: "round_opened", data: { round: state.round, ...place(state) } },
    ],
  };
}

/** Throws unknown_contribution, not_withdrawable. */
export function withdraw(plan: RunPlan, before: State, clientId: string): Change {
  const contributions = before.contributions.filter((each) => each.clientId !== clientId);
  if (contributions.length === before.contributions.length) throw new Refused("unknown_contribution");
  const isMoved = plan.payload === "weights" &&
    contributions.some(({ version }) => version !== before.version);
  if (isMoved && !isHolding(plan)) throw new Refused("not_withdrawable");
  const state = { ...before, sequence: before.sequence + 1, contributions };
  const data = {
    round: state.round,
    client_id: clientId,
    contributions: contributions.length,
    missing: missing(plan, state),
    deadline: deadlineText(plan, state),
    ...place(state),
  };
  return { state, answer: undefined, events: [{ type: "contribution_withdrawn", data }] };
}

function changed(before: State, what: "optimizer" | "variables", more: Partial<State>): Change {
  const state = { ...before, ...more, sequence: before.sequence + 1, version: before.version + 1 };
  return {
    state,
    answer: undefined,
    events: [{ type: "run_changed", data: { changed: what, ...place(state) } }],
  };
}

export const setRate = (before: State, rate: number): Change => changed(before, "optimizer", { rate });

export function setVariable(before: State, name: string, w: number[]): Change {
  const variable = { ...before.variables[name] as Variable, w };
  return changed(before, "variables", { variables: { ...before.variables, [name]: variable } });
}
