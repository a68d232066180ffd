/**
 * How long a step holds the event loop at most, estimated from the run and not from a body: a short body may change all
 * elements. A step is one synchronous turn, so a run whose steps would take too long is refused.
 *
 * The figures are nanoseconds per element, as measured on one core of a small machine.
 */
import { refusal, type StepwellError } from "../../errors.ts";
import { type Optimizer, ruleOf } from "../../families/optimizers/optimizer.ts";
import { loadOfLines } from "../../families/mechanism/user_formula.ts";
import { elementCount } from "../../tensor.ts";
import type { ResolvedSpec } from "../spec/spec.ts";

/** One tensor read or written, one operation, and one power, exponential, logarithm or cosine. */
const TENSOR_NS = 0.3, OPERATION_NS = 0.05, CALL_NS = 40;

/** Seconds that one step of the run takes at most with these optimizers, by group. */
export function stepSeconds(
  { variables, aggregation, transformers }: ResolvedSpec,
  optimizers: readonly Optimizer[],
): number {
  const perGroup = optimizers.map((optimizer) => perElement(optimizer, transformers));
  const combined = aggregation.rule.kind === "list" ? aggregation.rule.work(aggregation.wanted) : 0;
  return variables.reduce((sum, { shape, role, group }) => {
    const each = role === "average" ? aggregation.wanted * TENSOR_NS : (perGroup[group] as number) + combined;
    return sum + elementCount(shape) * each / 1e9;
  }, 0);
}

/** Nanoseconds that an element takes at most in a step of the optimizer. */
function perElement(optimizer: Optimizer, transformers: ResolvedSpec["transformers"]): number {
  const rule = ruleOf(optimizer);
  const slots = Object.keys(rule.slots);
  const tensors = ["w", "g", ...slots];
  const lists = [rule.dense, rule.sparse?.all ?? [], rule.sparse?.after ?? []];
  for (const { member, config } of transformers) {
    if (member.rule.kind === "formula") lists.push(config["lines"] as string[]);
  }
  return lists.reduce((sum, lines) => sum + nanoseconds(lines, tensors), 0);
}

function nanoseconds(lines: readonly string[], tensors: readonly string[]): number {
  if (lines.length === 0) return 0;
  // All other names are numbers that are the same for all elements.
  const names = lines.flatMap((line) => line.match(/\b[A-Za-z_]\w*\b(?!\s*\()/g) ?? []);
  const set = new Set(lines.map((line) => /^\s*(\w+)/.exec(line)?.[1] ?? ""));
  const uniforms = [...new Set(names)].filter((name) => !tensors.includes(name) && !set.has(name));
  const stored = tensors.filter((name) => set.has(name));
  const { operations, calls, reductions } = loadOfLines(lines, { tensors, stored, uniforms });
  return (reductions + 1) * TENSOR_NS * (tensors.length + stored.length) + OPERATION_NS * operations +
    CALL_NS * calls;
}

/** Throws invalid_config if a step would take longer than `secondsMax`. */
export function assertStepCost(
  spec: ResolvedSpec,
  optimizers: readonly Optimizer[],
  { secondsMax, action, path }: { secondsMax: number; action: string; path: string },
): void {
  if (secondsMax === Infinity) return;
  const seconds = stepSeconds(spec, optimizers);
  if (seconds > secondsMax) throw tooCostly(seconds, { secondsMax, action, path });
}

function tooCostly(
  seconds: number,
  { secondsMax, action, path }: { secondsMax: number; action: string; path: string },
): StepwellError {
  const problem =
    `makes a step of all elements take about ${seconds.toPrecision(2)} s, in which nobody else is ` +
    `answered; must be at most ${secondsMax} s (STEPWELL_STEP_SECONDS_MAX)`;
  return refusal("invalid_config", action, path, problem);
}
