/**
 * Plans the step of small variables that lie side by side: one kernel call for a whole span of them, with the bits of
 * a call for each.
 *
 * An elementwise rule does not know where a variable ends. So a span is planned as one variable if nothing in the step
 * depends on the variable: no norm, no mean, no noise, no constraint, no slot that starts as the variable.
 */
import type { StagedDense } from "../staging/staged.ts";
import type { Settled } from "../staging/together.ts";
import type { Span } from "../staging/arrangement.ts";
import type { VariableState } from "../tensors/state.ts";
import { loadOfRule, type RuleStep, type StepContext, transformerParts } from "./fused_lines.ts";

/**
 * The gradients that share regions, a tensor for each span; undefined if the step has to see each variable. Their
 * squares are 0: norms are those of the variables.
 */
export function wideGradients(
  steps: readonly RuleStep[],
  { arrangement: { spans, variables }, values }: Settled,
): readonly StagedDense[] | undefined {
  const [{ context, context: { state } }] = steps as [RuleStep], [first] = variables;
  if (!first || !isUniform(context)) return undefined;
  for (const { variable } of spansOfGroups(spans)) {
    if (loadOfRule(steps[variable.group] as RuleStep, variable).reductions > 0) return undefined;
  }
  if (variables.some((variable) => variable.constraint !== null)) return undefined;
  const startsAs = steps.map(({ rule }) => Object.values(rule.slots).includes("w"));
  const isStarting = (variable: VariableState) =>
    startsAs[variable.group] === true &&
    state.startingAs((steps[variable.group] as RuleStep).rule, variable).length > 0;
  if (startsAs.includes(true) && variables.some(isStarting)) return undefined;
  const lying = spans.map(({ first, count, at }) => ({ first, count, offset: values + 4 * at }));
  return (steps.length === 1 ? lying : gathered(context, lying)).map(({ first, count, offset }) => {
    const variable = first.spanning(count);
    return { kind: "dense", variable, values: offset, count, squares: 0, wire: { dtype: "F32", offset } };
  });
}

/** Gradients that lie one after the other, of variables that do. */
interface Lying {
  readonly first: VariableState;
  readonly count: number;
  /** Byte offset of the gradients. */
  readonly offset: number;
}

/**
 * Gradients copied so that they lie like the variables of their groups, where these alternate in the run's order:
 * the calls that this saves cost more than the copy of small tensors.
 */
function gathered({ state, staging }: StepContext, spans: readonly Lying[]): readonly Lying[] {
  const byHome = Map.groupBy(spans, ({ first }) => first.home);
  if (byHome.size === spans.length) return spans;
  return [...byHome.values()].flatMap((own) => {
    const runs: { first: VariableState; count: number; parts: Lying[] }[] = [];
    for (const span of own.toSorted((a, b) => a.first.place - b.first.place)) {
      const last = runs.at(-1);
      if (last && span.first.place === last.first.place + 4 * last.count) {
        last.count += span.count;
        last.parts.push(span);
      } else runs.push({ first: span.first, count: span.count, parts: [span] });
    }
    return runs.map(({ first, count, parts }) => {
      const [only, second] = parts as [Lying, Lying?];
      if (!second) return only;
      const offset = staging.allocate(4 * count);
      const { arena } = state;
      let to = offset;
      for (const part of parts) {
        arena.i32(to, part.count).set(arena.i32(part.offset, part.count));
        to += 4 * part.count;
      }
      return { first, count, offset };
    });
  });
}

/** The first span of each group. */
function spansOfGroups(spans: readonly Span[]): { variable: VariableState }[] {
  const found = new Map<number, { variable: VariableState }>();
  for (const { first } of spans) {
    if (!found.has(first.group)) found.set(first.group, { variable: first });
  }
  return [...found.values()];
}

/** Whether all variables are clipped and transformed by the same elementwise lines and numbers. */
function isUniform(context: StepContext): boolean {
  const { clipvalue, clipnorm, global_clipnorm } = context.optimizers[0].current;
  if (clipnorm !== null || (clipvalue !== null && global_clipnorm !== null)) return false;
  return transformerParts(context).every((part) => "lines" in part && (part.load?.reductions ?? 0) === 0);
}
