/**
 * Checks the constants of formulas that a request brings (finite_constants.ts). Runs that are read from their files,
 * and checkpoints that come back, may have older ones.
 */
import { constraints } from "../../families/constraints/mod.ts";
import { assertFiniteConstants } from "../../families/mechanism/finite_constants.ts";
import type { Schedulable } from "../../families/optimizers/member/optimizer_member.ts";
import type { Optimizer } from "../../families/optimizers/optimizer.ts";
import { schedules } from "../../families/schedules/mod.ts";
import { inPieces } from "../../slices.ts";
import type { ResolvedSpec } from "./spec.ts";

/** Checks the schedules that `before` does not have. Throws invalid_config. */
export function assertNewSchedules(
  { member, current }: Optimizer,
  { before, action, path }: {
    readonly before?: Optimizer | undefined;
    readonly action: string;
    readonly path: string;
  },
): void {
  for (const key of member.schedulable) {
    const value = current[key] as Schedulable | null;
    if (typeof value !== "object" || value === null || before?.current[key] === value) continue;
    const { class_name, config } = value;
    assertFiniteConstants({ member: schedules.find(class_name), config }, { action, path: `${path}.${key}` });
  }
}

/** How long it takes to check a constraint, in nanoseconds. */
const CONSTRAINT_UNITS = 2000;

/** In pieces. Throws invalid_config for the first constant of a new run's formulas that is not finite. */
export function* checkingNewSpec(
  { optimizer, groups, variables, aggregation, transformers }: ResolvedSpec,
): Generator<number, void> {
  const action = "create the run";
  assertNewSchedules(optimizer, { action, path: "optimizer.config" });
  groups.forEach((group, n) => {
    const path = `groups.${n}.${group.own ? "hyperparameters" : "optimizer.config"}`;
    assertNewSchedules(group.optimizer, { action, path, before: group.own && optimizer });
  });
  const constrained = [...variables.entries()].filter(([, { constraint }]) => constraint);
  yield* inPieces(constrained, CONSTRAINT_UNITS, ([n, { constraint }]) => {
    if (!constraint) return;
    const { class_name, config } = constraint.member;
    const part = { member: constraints.find(class_name), config };
    assertFiniteConstants(part, { action, path: `variables.${n}.constraint` });
  });
  assertFiniteConstants(aggregation.aggregator, { action, path: "aggregation.aggregator" });
  transformers.forEach((part, n) =>
    assertFiniteConstants(part, { action, path: `gradient_transformers.${n}` })
  );
}
