/**
 * A run's resolved spec: every family member found, every config checked, every constraint fitted to its
 * variable's shape.
 *
 * Invariant: building a run from a resolved spec can fail only for lack of memory.
 */
import { refusal } from "../../errors.ts";
import type { Constraint } from "../../families/constraints/constraint.ts";
import { constraints } from "../../families/constraints/mod.ts";
import { type Part, serialize } from "../../families/mechanism/family.ts";
import { loadOfLines, tooMuch } from "../../families/mechanism/user_formula.ts";
import type { OptimizerFamily } from "../../families/optimizers/mod.ts";
import type { Optimizer } from "../../families/optimizers/optimizer.ts";
import { createOptimizer } from "../../families/optimizers/optimizer_json.ts";
import { transformers } from "../../families/transformers/mod.ts";
import type { TransformerMember } from "../../families/transformers/transformer.ts";
import { atOnce, inPieces } from "../../slices.ts";
import type { Shape } from "../../tensor.ts";
import { withExclusion } from "./weight_decay.ts";
import { GroupFinder, type ResolvedGroup, resolveGroups, withSparse } from "./groups.ts";
import { type Aggregation, resolveAggregation, serializeAggregation } from "./aggregation.ts";
import type { Member } from "../api/run_description.ts";
import type { MemberSpec, RunSpec, VariableRole, VariableSpec } from "../api/run_spec.ts";

/** How long it takes to resolve a variable, in nanoseconds, and one with a constraint. */
const VARIABLE_UNITS = 400, CONSTRAINT_UNITS = 10_000;

export interface ResolvedVariable {
  readonly name: string;
  readonly shape: Shape;
  readonly constraint: (Constraint & { readonly member: Member }) | null;
  readonly role: VariableRole;
  /** 0: the default group; n: the n-th of the spec's. */
  readonly group: number;
}

export type Uniforms = Readonly<Record<string, number>>;
/** What a crash may lose: nothing that was acknowledged, the steps since the last snapshot, or the run. */
export type Durability = "journal" | "snapshot" | "none";
export type NonFinite = "reject" | "skip" | "propagate";

export interface ResolvedSpec {
  /** That of the default group, whose clips are the run's. */
  readonly optimizer: Optimizer;
  readonly groups: readonly ResolvedGroup[];
  readonly variables: readonly ResolvedVariable[];
  readonly aggregation: Aggregation;
  readonly transformers: readonly Part<TransformerMember>[];
  readonly nonFinite: NonFinite;
  readonly durability: Durability;
  readonly warnings: readonly string[];
}

/** One load limit holds for the formulas of all transformers together, because every element passes through all. */
function resolveTransformers(given: readonly MemberSpec[]): Part<TransformerMember>[] {
  let operations = 0, calls = 0;
  return given.map((json, index) => {
    const path = `gradient_transformers.${index}`;
    const part = transformers.resolve(json, path);
    const { member, config } = part;
    if (member.rule.kind !== "formula") return part;
    const uniforms = ["t", "T", ...Object.keys(member.uniforms(config))];
    const scope = { tensors: ["w", "g"], stored: ["g"], uniforms };
    const load = loadOfLines(config["lines"] as string[], scope);
    operations += load.operations;
    calls += load.calls;
    const found = tooMuch({ ...load, operations, calls });
    if (found === undefined) return part;
    throw refusal("invalid_config", "create the run", path, `makes it ${found}`);
  });
}

/** As {@link resolvingSpec}, at once. */
export function resolveSpec(spec: RunSpec, family: OptimizerFamily): ResolvedSpec {
  return atOnce(resolvingSpec(spec, resolveOptimizer(spec, family)));
}

/** Throws unknown_class, invalid_config. */
export function resolveOptimizer(given: RunSpec, family: OptimizerFamily): ResolvedOptimizer {
  const spec = withExclusion(given, family);
  const made = createOptimizer(spec.optimizer, "optimizer", family);
  const { groups, warnings } = resolveGroups(spec, made.optimizer, family);
  return {
    optimizer: withSparse(made.optimizer, spec.sparse),
    groups,
    warnings: [...made.warnings, ...warnings],
  };
}

interface ResolvedOptimizer extends Pick<ResolvedSpec, "optimizer" | "groups" | "warnings"> {}

/** In pieces. Throws unknown_class, invalid_config, invalid_request, shape_mismatch. */
export function* resolvingSpec(
  spec: RunSpec,
  { optimizer, groups, warnings }: ResolvedOptimizer,
): Generator<number, ResolvedSpec> {
  const names = new Set<string>(), variables: ResolvedVariable[] = [];
  const finder = new GroupFinder(groups);
  const hasConstraints = spec.variables.some(({ constraint }) => constraint !== undefined);
  yield* inPieces(
    spec.variables,
    finder.units + (hasConstraints ? CONSTRAINT_UNITS : VARIABLE_UNITS),
    (variable) => {
      const { name } = variable, index = variables.length;
      names.add(name);
      if (names.size === index) {
        const problem = `is "${name}" again, must be a name of its own`;
        throw refusal("invalid_request", "create the run", `variables.${index}.name`, problem);
      }
      variables.push(resolveVariable(variable, index, finder.find(name)));
    },
  );
  const aggregation = resolveAggregation(spec.aggregation, {
    hasAverages: variables.some(({ role }) => role === "average"),
  });
  return {
    optimizer,
    groups,
    variables,
    aggregation,
    transformers: resolveTransformers(spec.gradient_transformers ?? []),
    nonFinite: spec.non_finite ?? "reject",
    durability: spec.durability ?? "journal",
    warnings: [...warnings, ...finder.warnings, ...aggregation.warnings],
  };
}

function resolveVariable(variable: VariableSpec, index: number, group: number): ResolvedVariable {
  const { name, shape, constraint, role = "optimize" } = variable;
  if (constraint === undefined || constraint === null) return { name, shape, constraint: null, role, group };
  const path = `variables.${index}`;
  if (role === "average") {
    const problem = 'is given, must be absent for a variable with the role "average", which no step changes';
    throw refusal("invalid_request", "create the run", `${path}.constraint`, problem);
  }
  const part = constraints.resolve(constraint, `${path}.constraint`);
  return {
    name,
    shape,
    constraint: {
      ...part.member.rule(part.config, shape, `${path}.constraint`),
      member: serialize(part),
    },
    role,
    group,
  };
}

/** The optimizers of all groups. */
export function optimizersOf(
  { optimizer, groups }: Pick<ResolvedSpec, "optimizer" | "groups">,
): readonly [Optimizer, ...Optimizer[]] {
  return [optimizer, ...groups.map((group) => group.optimizer)];
}

/** The spec as JSON that creates the same run again, except for initial values. */
export function serializeSpec(spec: ResolvedSpec, optimizer: Member): RunSpec {
  return {
    optimizer,
    ...spec.optimizer.sparse !== undefined && { sparse: spec.optimizer.sparse },
    variables: spec.variables.map(({ name, shape, constraint, role }) => ({
      name,
      shape,
      ...constraint && { constraint: constraint.member },
      ...role === "average" && { role },
    })),
    aggregation: serializeAggregation(spec.aggregation),
    gradient_transformers: spec.transformers.map(serialize),
    non_finite: spec.nonFinite,
    durability: spec.durability,
  };
}
