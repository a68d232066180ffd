/**
 * An optimizer as JSON that makes the same one again: `{class_name, config, attributes?}`. `attributes` holds what only
 * overwriting gives: a momentum that the constructor did not have, an epsilon of 0, both norms at once.
 *
 * Not `get_config`, which is Keras' and has no attributes, and not saved.ts, which is exact to the last switch.
 * Invariant: the optimizer that `createOptimizer` makes of `optimizerJson` steps with the same bits, and so it does
 * after the same attributes of both are overwritten.
 */
import { StepwellError } from "../../errors.ts";
import { type Config, parseConfig, type PartJson } from "../mechanism/family.ts";
import { join } from "../mechanism/issues.ts";
import { overwrite } from "./attributes.ts";
import { CLIPS, type OptimizerConfig } from "./member/optimizer_member.ts";
import { getConfig, type Optimizer, parseOptimizer, ruleOf } from "./optimizer.ts";
import type { OptimizerFamily } from "./mod.ts";

export interface OptimizerJson extends PartJson {
  readonly attributes?: Config;
}

/**
 * Constructs an optimizer and overwrites its `attributes`, if there are any. Throws like `parseOptimizer` and
 * `overwrite`. The warnings are those of the construction: what attributes do was meant.
 */
export function createOptimizer(
  json: unknown,
  path: string,
  family: OptimizerFamily,
): { optimizer: Optimizer; warnings: readonly string[] } {
  const isObject = typeof json === "object" && json !== null && !Array.isArray(json);
  if (!isObject || !("attributes" in json)) return parseOptimizer(json, path, family);
  const { attributes, ...form } = json;
  const made = parseOptimizer(form, path, family);
  if (attributes === null || attributes === undefined) return made;
  if (typeof attributes !== "object" || Array.isArray(attributes)) {
    throw new StepwellError("invalid_config", "Cannot read the optimizer: attributes must be an object", [
      { path: join(path, "attributes"), message: "Must be an object" },
    ]);
  }
  const { optimizer } = overwrite(made.optimizer, attributes as Config, {
    hypersCreated: false,
    path,
    field: "attributes",
  });
  return { optimizer, warnings: made.warnings };
}

/**
 * The optimizer as JSON, with the config of `getConfig`, whose `hypersCreated` it takes. Before it is created from that,
 * the config goes through the member's `again`.
 */
export function optimizerJson(optimizer: Optimizer, options: { hypersCreated: boolean }): OptimizerJson {
  const keys = attributesOf(optimizer);
  if (keys.size === 0) return getConfig(optimizer, options);
  const { constructed, current } = optimizer;
  const config = { ...current, ...only(constructed, keys) } as OptimizerConfig;
  return { ...getConfig({ ...optimizer, current: config }, options), attributes: only(current, keys) };
}

const only = (config: Config, keys: ReadonlySet<string>) =>
  Object.fromEntries(Object.entries(config).filter(([key]) => keys.has(key)));

const known = new WeakMap<Optimizer, ReadonlySet<string>>();

/** The keys of `current` that no constructor gives this optimizer: as few as do. */
function attributesOf(optimizer: Optimizer): ReadonlySet<string> {
  let keys = known.get(optimizer);
  if (!keys) known.set(optimizer, keys = findAttributes(optimizer));
  return keys;
}

function findAttributes(optimizer: Optimizer): ReadonlySet<string> {
  const { constructed, current } = optimizer;
  const changed = Object.keys(current).filter((key) => !isSame(constructed[key], current[key]));
  const makes = (keys: readonly string[], wanted = optimizer) => {
    const made = madeOf(wanted, new Set(keys));
    return made !== undefined && stepsAlike(made, wanted);
  };
  const alone = changed.filter((key) =>
    !makes([], { ...optimizer, current: { ...constructed, [key]: current[key] } as OptimizerConfig })
  );
  const clips = changed.filter((key) => alone.includes(key) || CLIPS.has(key));
  return new Set([[], alone, clips].find((keys) => makes(keys)) ?? changed);
}

/** What is created with these keys as attributes; undefined if it is refused. */
function madeOf(optimizer: Optimizer, keys: ReadonlySet<string>): Optimizer | undefined {
  const { member, constructed, current } = optimizer;
  const config = { ...current, ...only(constructed, keys) } as OptimizerConfig;
  const said = getConfig({ ...optimizer, current: config }, { hypersCreated: false }).config;
  const given = member.again?.(said) ?? said;
  try {
    const { config: built } = member.construct(parseConfig(member, given), given, "");
    const made = {
      ...optimizer,
      member,
      constructed: built,
      current: built,
      bare: new Set<string>(),
      spelling: optimizer.spelling,
    };
    return keys.size === 0 ? made : overwrite(made, only(current, keys), { hypersCreated: false }).optimizer;
  } catch (error) {
    if (error instanceof StepwellError) return undefined;
    throw error;
  }
}

function stepsAlike(a: Optimizer, b: Optimizer): boolean {
  const keys = Object.keys(b.current), { member } = b;
  return keys.every((key) => isSame(a.current[key], b.current[key])) &&
    JSON.stringify(ruleOf(a)) === JSON.stringify(ruleOf(b)) &&
    keys.every((key) => member.idle?.(a.constructed, key) === member.idle?.(b.constructed, key)) &&
    (!member.timeDecay || isSame(a.constructed["decay"], b.constructed["decay"]));
}

function isSame(a: unknown, b: unknown): boolean {
  return typeof a === "number" && typeof b === "number"
    ? Object.is(a, b)
    : JSON.stringify(a) === JSON.stringify(b);
}
