/**
 * Plans the step of small variables that lie side by side: one kernel call for a whole span of them, with the bits of
 * a call for each.
 *
 * An elementwise rule does not know where a variable ends. So a span is planned as one variable if nothing in the step
 * depends on the variable: no norm, no mean, no noise, no constraint, no slot that starts as the variable.
 */
import type { StagedDense } from "../staging/staged.ts";
import type { Settled } from "../staging/together.ts";
import { loadOfRule, type RuleStep, transformerParts } from "./fused_lines.ts";

/**
 * The gradients that share regions, a tensor for each span; undefined if the step has to see each variable. Their
 * squares are 0: norms are those of the variables.
 */
export function wideGradients(
  step: RuleStep,
  { arrangement: { spans, variables }, values }: Settled,
): readonly StagedDense[] | undefined {
  const { context: { state }, rule } = step, [first] = variables;
  if (!first || !isUniform(step) || loadOfRule(step, first).reductions > 0) return undefined;
  if (variables.some((variable) => variable.constraint !== null)) return undefined;
  const startsAs = Object.values(rule.slots).includes("w");
  if (startsAs && variables.some((each) => state.startingAs(rule, each).length > 0)) return undefined;
  return spans.map(({ first, count, at }) => {
    const offset = values + 4 * at;
    const variable = first.spanning(count);
    return { kind: "dense", variable, values: offset, count, squares: 0, wire: { dtype: "F32", offset } };
  });
}

/** Whether all variables are clipped and transformed by the same elementwise lines and numbers. */
function isUniform({ context }: RuleStep): boolean {
  const { clipvalue, clipnorm, global_clipnorm } = context.optimizer.current;
  if (clipnorm !== null || (clipvalue !== null && global_clipnorm !== null)) return false;
  return transformerParts(context).every((part) => "lines" in part && (part.load?.reductions ?? 0) === 0);
}
