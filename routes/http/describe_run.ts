/** Descriptions of runs and optimizers as answers: the configs of their parts are written as Keras writes them. */
import { aggregators } from "../../src/families/aggregators/mod.ts";
import { clipNorms } from "../../src/families/clip_norms/mod.ts";
import { constraints } from "../../src/families/constraints/mod.ts";
import { withFloats } from "../../src/families/float_config.ts";
import { schedules } from "../../src/families/schedules/mod.ts";
import { stalenessWeightings } from "../../src/families/staleness_weightings/mod.ts";
import { transformers } from "../../src/families/transformers/mod.ts";
import type {
  DescribedOptimizer,
  GroupDescription,
  Member,
  RunDescription,
} from "../../src/run/api/run_description.ts";
import type { Services } from "./context.ts";

/** Who knows the optimizers of runs. */
export type Optimizers = Pick<Services["registry"], "optimizers">;

/** An optimizer, with what an answer has beside it. */
export function describeOptimizer<M extends Member>(member: M, { optimizers }: Optimizers): M {
  return { ...member, ...withFloats(member, optimizers.family, schedules) };
}

/** The optimizer of a run's description: a run that is created with it has the same one. */
function describeCreated(optimizer: DescribedOptimizer, registry: Optimizers): DescribedOptimizer {
  const { attributes, ...written } = optimizer;
  const member = registry.optimizers.family.memberOf(written);
  return {
    ...describeOptimizer({ ...written, config: member?.again?.(written.config) ?? written.config }, registry),
    ...attributes &&
      { attributes: describeOptimizer({ ...written, config: attributes }, registry).config },
  };
}

export function describeVariable(variable: RunDescription["variables"][number]) {
  const { constraint } = variable;
  return constraint ? { ...variable, constraint: withFloats(constraint, constraints) } : variable;
}

function describeGroup(
  group: GroupDescription,
  base: DescribedOptimizer,
  registry: Optimizers,
): GroupDescription {
  const { optimizer, hyperparameters } = group;
  if (optimizer) return { ...group, optimizer: describeCreated(optimizer, registry) };
  const { attributes: _, ...written } = base;
  return {
    ...group,
    ...hyperparameters &&
      { hyperparameters: describeOptimizer({ ...written, config: hyperparameters }, registry).config },
  };
}

export function describeRun(run: RunDescription, registry: Optimizers): RunDescription {
  const { aggregation } = run, { client_clipnorm: clipNorm } = aggregation;
  return {
    ...run,
    optimizer: describeCreated(run.optimizer, registry),
    ...run.groups && { groups: run.groups.map((group) => describeGroup(group, run.optimizer, registry)) },
    variables: run.variables.map(describeVariable),
    aggregation: {
      ...aggregation,
      aggregator: withFloats(aggregation.aggregator, aggregators),
      staleness_weighting: withFloats(aggregation.staleness_weighting, stalenessWeightings),
      client_clipnorm: typeof clipNorm === "object" && clipNorm ? withFloats(clipNorm, clipNorms) : clipNorm,
    },
    gradient_transformers: run.gradient_transformers.map((part) => withFloats(part, transformers)),
  };
}
