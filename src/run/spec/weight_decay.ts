/**
 * `exclude_from_weight_decay` in the config of an optimizer that has weight decay: names or globs of variables without.
 *
 * It is another way to write a group, and no key of a config: Keras has a method of this name. Invariant: the run that
 * it makes is described by the group, which makes the same run.
 */
import { refusal } from "../../errors.ts";
import type { OptimizerFamily } from "../../families/optimizers/mod.ts";
import { PATTERN_LENGTH_MAX, PATTERNS_MAX, type RunSpec } from "../api/run_spec.ts";

const KEY = "exclude_from_weight_decay", DECAY = "weight_decay";
/** The name of the group. */
export const EXCLUDED = "no_weight_decay";

/** The spec with a group in place of the key. Throws unknown_class, invalid_config, invalid_request. */
export function withExclusion(spec: RunSpec, family: OptimizerFamily): RunSpec {
  const { optimizer, groups = [] } = spec;
  if (typeof optimizer !== "object" || optimizer === null || !("config" in optimizer)) return spec;
  const { config } = optimizer;
  if (typeof config !== "object" || config === null || !(KEY in config)) return spec;
  const { [KEY]: excluded, ...rest } = config;
  const { attributes: _, ...form } = { attributes: undefined, ...optimizer, config: rest };
  // Other optimizers do not know the key.
  if (!Object.hasOwn(family.read(form, "optimizer").member.config.shape, DECAY)) return spec;
  const plain = { ...spec, optimizer: { ...optimizer, config: rest } };
  if (excluded === null) return plain;
  const path = `optimizer.config.${KEY}`;
  if (!isPatterns(excluded)) {
    const problem = `must be a list of at most ${PATTERNS_MAX} names or globs of variables`;
    throw refusal("invalid_config", "create the run", path, problem);
  }
  if (excluded.length === 0) return plain;
  if (groups.length > 0) {
    const problem = `is given beside groups, must be a group with ${DECAY} 0 among them`;
    throw refusal("invalid_request", "create the run", path, problem);
  }
  return { ...plain, groups: [{ name: EXCLUDED, variables: excluded, hyperparameters: { [DECAY]: 0 } }] };
}

function isPatterns(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= PATTERNS_MAX &&
    value.every((each) => typeof each === "string" && each !== "" && each.length <= PATTERN_LENGTH_MAX);
}
