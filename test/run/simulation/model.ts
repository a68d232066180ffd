/**
 * A model of a run in a simulation: its state after every change in the journal. It is a naive implementation of
 * rounds, without memory management and without failures.
 */
import type { ErrorCode } from "../../../src/errors.ts";
import type { Variable } from "../step/support/oracle.ts";
import { prepared } from "./arithmetic.ts";
import { isHolding, isPlain, type RunPlan } from "./plans.ts";
import {
  type Accepted,
  averagesOf,
  type Body,
  type Change,
  deadline,
  deadlineText,
  isFinite,
  missing,
  normsOf,
  place,
  Refused,
  replied,
  type Request,
  type State,
} from "./state.ts";
import { close, stepAlone } from "./steps.ts";

/** The effects of a completely received body: up to two changes, and perhaps a refusal after them. */
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
    const joining = join(plan, open, { ...claims, acceptedAt: now, key: request.key });
    const closes = missing(plan, joining.state) === 0;
    if (request.dryRun && closes) {
      const answer = close(plan, joining.state).answer as object;
      return { changes, answer: { ...answer, applied: false, ...place(open) } };
    }
    if (request.dryRun) return { changes, answer: contributionAnswer(plan, open, claims, false) };
    const joined = follow(joining);
    if (closes) follow(close(plan, joined));
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
  if (isHolding(plan) && tensors.length < plan.variables.length) throw new Refused("invalid_request");
  if (!isFinite(body)) throw new Refused("non_finite_gradient");
  const preparation = prepared(plan, tensors, {
    variables: state.variables,
    averages: averagesOf(plan),
    staleness,
  });
  return { ...preparation, clientId, staleness, weight, version };
}

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

/** The change that the open round makes by itself at `now`. */
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
