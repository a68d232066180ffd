/** Steps in the model: of one contribution and of a round. */
import { merged, momentum, type Rule, sgd, type Variable } from "../step/support/oracle.ts";
import { averaged, combined, roundedSquaresOf, squaresOf, type Tensor } from "./arithmetic.ts";
import type { RunPlan } from "./plans.ts";
import {
  averagesOf,
  type Body,
  type Change,
  isFinite,
  normsOf,
  place,
  Refused,
  replied,
  type Request,
  type State,
} from "./state.ts";

/** The open round becomes a step. The client that completed it gets the answer, unless the deadline ended it. */
export function close(plan: RunPlan, before: State, { isComplete = true } = {}): Change {
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

/** A contribution that becomes a step directly. */
export function stepAlone(plan: RunPlan, before: State, body: Body, { key }: Request): Change {
  if (!isFinite(body)) throw new Refused("non_finite_gradient");
  const averages = averagesOf(plan);
  const gradients = body.tensors.filter(({ name }) => !averages.has(name));
  // Hyperparameters for one step hold for that step only.
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
