/**
 * A run's groups: variables that step with hyperparameters, or with an optimizer, of their own. All other variables are
 * in the group `default`, whose optimizer is the run's.
 *
 * Invariants: a group's optimizer does not clip, because clips are the run's. A group that has only hyperparameters of
 * its own follows the run's optimizer in all others.
 */
import { refusal, StepwellError } from "../../errors.ts";
import { overwrite } from "../../families/optimizers/attributes.ts";
import { CLIPS } from "../../families/optimizers/member/optimizer_member.ts";
import type { OptimizerFamily } from "../../families/optimizers/mod.ts";
import type { Optimizer } from "../../families/optimizers/optimizer.ts";
import { createOptimizer, optimizerJson } from "../../families/optimizers/optimizer_json.ts";
import { matchesGlob } from "../../globs.ts";
import type { GroupDescription } from "../api/run_description.ts";
import type { GroupSpec, RunSpec } from "../api/run_spec.ts";

export const DEFAULT_GROUP = "default";

export interface ResolvedGroup {
  readonly name: string;
  /** Globs of the names of its variables. */
  readonly patterns: readonly string[];
  readonly optimizer: Optimizer;
  /** The hyperparameters that are its own; undefined: the whole optimizer is. */
  readonly own: ReadonlySet<string> | undefined;
}

type Made = ReturnType<typeof createOptimizer>;

/** Throws unknown_class, invalid_config, invalid_request. */
export function resolveGroups(
  { groups = [], sparse }: RunSpec,
  base: Optimizer,
  family: OptimizerFamily,
): { groups: readonly ResolvedGroup[]; warnings: readonly string[] } {
  const names = new Set([DEFAULT_GROUP]), warnings: string[] = [];
  const resolved = groups.map((given, n) => {
    const path = `groups.${n}`, { name } = given;
    if (names.has(name)) {
      const problem = `is "${name}" again, must be a name of its own, and not "${DEFAULT_GROUP}"`;
      throw refusal("invalid_request", "create the run", `${path}.name`, problem);
    }
    names.add(name);
    const made = given.optimizer === undefined
      ? inheriting(given, base, { path, family })
      : createOptimizer(given.optimizer, `${path}.optimizer`, family);
    if (given.optimizer === undefined) assertNoClips(given.hyperparameters ?? {}, `${path}.hyperparameters`);
    else checkReplacing(given, made.optimizer, base, path);
    warnings.push(...made.warnings.map((warning) => `group "${name}": ${warning}`));
    return {
      name,
      patterns: given.variables,
      optimizer: withSparse(made.optimizer, given.sparse ?? sparse),
      own: given.optimizer === undefined ? ownOf(base, given.hyperparameters ?? {}) : undefined,
    };
  });
  return { groups: resolved, warnings };
}

export function withSparse(optimizer: Optimizer, sparse: Optimizer["sparse"] = "keras"): Optimizer {
  return sparse === "keras" ? optimizer : { ...optimizer, sparse };
}

const ownOf = ({ member }: Optimizer, given: Readonly<Record<string, unknown>>) =>
  new Set(Object.keys(given).map((key) => key === "lr" ? member.rateKey : key));

/** The run's optimizer with some hyperparameters of the group's own. */
function inheriting(
  { hyperparameters = {} }: GroupSpec,
  base: Optimizer,
  { path, family }: { path: string; family: OptimizerFamily },
): Made {
  const { config: said, attributes, ...form } = optimizerJson(base, { hypersCreated: false });
  const own = ownOf(base, hyperparameters);
  const config = { ...base.member.again?.(said) ?? said };
  for (const [key, value] of Object.entries(hyperparameters)) {
    config[key === "lr" ? base.member.rateKey : key] = value;
  }
  const others = Object.entries(attributes ?? {}).filter(([key]) => !own.has(key));
  try {
    const json = { ...form, config, ...others.length > 0 && { attributes: Object.fromEntries(others) } };
    return { ...createOptimizer(json, path, family), warnings: [] };
  } catch (error) {
    if (!(error instanceof StepwellError)) throw error;
    const issues = error.issues.map((issue) => ({
      ...issue,
      path: issue.path.replace(`${path}.config`, `${path}.hyperparameters`),
    }));
    throw new StepwellError(error.code, error.message, issues);
  }
}

function checkReplacing(given: GroupSpec, made: Optimizer, base: Optimizer, path: string): void {
  if (given.hyperparameters !== undefined) {
    const problem = "are given beside optimizer, must be in its config";
    throw refusal("invalid_request", "create the run", `${path}.hyperparameters`, problem);
  }
  const clips = Object.entries(made.current).filter(([key, value]) => CLIPS.has(key) && value !== null);
  assertNoClips(Object.fromEntries(clips), `${path}.optimizer.config`);
  const { class_name, definition } = made.member;
  if (definition === undefined || made.member === base.member) return;
  const problem = `is ${class_name}, which was registered: a group's must be built in, or the run's own`;
  throw refusal("invalid_request", "create the run", `${path}.optimizer`, problem);
}

/** Throws invalid_config for clips, which are the run's. */
function assertNoClips(
  config: Readonly<Record<string, unknown>>,
  path: string,
  action = "create the run",
): void {
  const clip = Object.keys(config).find((key) => CLIPS.has(key));
  if (clip === undefined) return;
  const problem = "is given for a group, must be given for the run's optimizer: clips reach over all groups";
  throw refusal("invalid_config", action, `${path}.${clip}`, problem);
}

/** What it takes to compare a letter of a name with one of a pattern at most, in nanoseconds. */
const LETTER_NS = 2;
/** Comparisons for all variables of a run. */
const COMPARISONS_MAX = 1e10;

/** Gives a variable's group, by its place after the default one. */
export class GroupFinder {
  readonly #groups: readonly ResolvedGroup[];
  readonly #letters: number;
  #left = COMPARISONS_MAX;
  readonly counts: number[];

  constructor(groups: readonly ResolvedGroup[]) {
    this.#groups = groups;
    this.#letters = groups.reduce((sum, { patterns }) => sum + patterns.join().length, 0);
    this.counts = groups.map(() => 0);
  }

  /** Nanoseconds for a name of usual length. */
  get units(): number {
    return 32 * LETTER_NS * this.#letters;
  }

  /** Throws invalid_request if there are too many patterns for the run's names. */
  find(name: string): number {
    this.#left -= this.#letters * name.length;
    if (this.#left < 0) {
      const problem =
        `take more than ${COMPARISONS_MAX} comparisons with the names of the variables: use fewer patterns`;
      throw refusal("invalid_request", "create the run", "groups", problem);
    }
    const found = this.#groups.findIndex(({ patterns }) =>
      patterns.some((pattern) => matchesGlob(pattern, name))
    );
    if (found >= 0) this.counts[found] = (this.counts[found] as number) + 1;
    return found + 1;
  }

  /** Names of groups that take no variable. */
  get warnings(): readonly string[] {
    return this.#groups.filter((_, n) => this.counts[n] === 0).map(({ name, patterns }) =>
      `group "${name}" takes no variable: none fits ${patterns.map((each) => `"${each}"`).join(", ")}`
    );
  }
}

/** The place of a group, 0 for the default one. Throws unknown_group. */
export function groupAt(groups: readonly ResolvedGroup[], name: string): number {
  const at = [DEFAULT_GROUP, ...groups.map((group) => group.name)].indexOf(name);
  if (at >= 0) return at;
  const known = [DEFAULT_GROUP, ...groups.map((group) => group.name)].map((each) => `"${each}"`).join(", ");
  throw new StepwellError("unknown_group", `Cannot find the group "${name}": the run has ${known}`);
}

export interface Overwritten {
  /** By group. */
  readonly optimizers: readonly Optimizer[];
  /** By group, without the default one: with the hyperparameters that are its own by now. */
  readonly groups: readonly ResolvedGroup[];
  readonly warnings: readonly string[];
}

/**
 * Overwrites hyperparameters of a group, or, without one, of the run's optimizer: groups follow it in what is not their
 * own. Throws what `overwrite` throws, and invalid_config for clips of a group.
 */
export function overwriteGroups(
  optimizers: readonly Optimizer[],
  groups: readonly ResolvedGroup[],
  patch: Readonly<Record<string, unknown>>,
  { group, hypersCreated, action }: {
    readonly group: number | undefined;
    readonly hypersCreated: boolean;
    readonly action: string;
  },
): Overwritten {
  if (group !== undefined && group > 0) {
    assertNoClips(patch, "config", action);
    const before = optimizers[group] as Optimizer;
    const { optimizer, warnings } = overwrite(before, patch, { hypersCreated });
    const own = ownOf(before, patch);
    return {
      optimizers: optimizers.with(group, optimizer),
      groups: groups.map((each, n) =>
        n === group - 1 && each.own ? { ...each, own: each.own.union(own) } : each
      ),
      warnings,
    };
  }
  const [base] = optimizers as [Optimizer];
  const { optimizer, warnings } = overwrite(base, patch, { hypersCreated });
  if (groups.length === 0) return { optimizers: [optimizer], groups, warnings };
  const following = groups.map(({ own }, n) => {
    const before = optimizers[n + 1] as Optimizer;
    if (!own) return before;
    const rest = Object.entries(patch).filter(([key]) => !own.has(key === "lr" ? base.member.rateKey : key));
    return overwrite(before, Object.fromEntries(rest), { hypersCreated }).optimizer;
  });
  return { optimizers: [optimizer, ...following], groups, warnings };
}

/** Groups as JSON that makes the same ones again. `optimizers` are those of all groups. */
export function describeGroups(
  groups: readonly ResolvedGroup[],
  optimizers: readonly Optimizer[],
  { hypersCreated }: { readonly hypersCreated: boolean },
): GroupDescription[] {
  const [base] = optimizers as [Optimizer];
  return groups.map(({ name, patterns, own }, n) => {
    const optimizer = optimizers[n + 1] as Optimizer, json = optimizerJson(optimizer, { hypersCreated });
    const common = { name, variables: patterns, sparse: optimizer.sparse ?? "keras" };
    const attributes = Object.keys(json.attributes ?? {});
    const inherited = new Set(Object.keys(optimizerJson(base, { hypersCreated }).attributes ?? {}));
    // What only overwriting gives has no place among hyperparameters.
    if (!own || attributes.some((key) => own.has(key) || !inherited.has(key))) {
      const plain = own ? optimizerJson(withoutClips(optimizer), { hypersCreated }) : json;
      return { ...common, optimizer: plain };
    }
    const config = json.config;
    return {
      ...common,
      hyperparameters: Object.fromEntries(
        [...own].map((key) => [key, config[key] ?? optimizer.current[key]]),
      ),
    };
  });
}

function withoutClips(optimizer: Optimizer): Optimizer {
  const none = Object.fromEntries([...CLIPS].map((key) => [key, null]));
  return {
    ...optimizer,
    constructed: { ...optimizer.constructed, ...none },
    current: { ...optimizer.current, ...none },
  };
}
