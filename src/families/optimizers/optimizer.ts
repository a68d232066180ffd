/**
 * A constructed optimizer as a value: what its constructor decided, and its current attributes.
 *
 * Not a run: it has no variables, no slots and no iteration count. It is immutable; `overwrite` returns a new one.
 * Invariant: `current` has the keys of `constructed`, and the `fixed` ones have the same values.
 */
import { type Config, parseConfig, type PartJson } from "../mechanism/family.ts";
import { f32 } from "../schedules/schedule.ts";
import { schedules } from "../schedules/mod.ts";
import {
  CLIPS,
  type OptimizerConfig,
  type OptimizerMember,
  type Rule,
  type Schedulable,
} from "./optimizer_member.ts";
import { type OptimizerFamily, optimizers } from "./mod.ts";

export interface Optimizer {
  readonly member: OptimizerMember;
  readonly constructed: OptimizerConfig;
  readonly current: OptimizerConfig;
  /** Hyperparameters set to a number after a schedule: Keras does not keep these in float32 variables. */
  readonly bare: ReadonlySet<string>;
}

/**
 * Constructs an optimizer from `{class_name, config?}` (also Keras' 2.12+ form) or a bare name.
 *
 * `path` is its path in the request. Throws `unknown_class` or `invalid_config`. The warnings say where Keras'
 * constructor deviates from its arguments.
 */
export function parseOptimizer(
  json: unknown,
  path = "",
  family: OptimizerFamily = optimizers,
): { optimizer: Optimizer; warnings: readonly string[] } {
  const { member, given } = family.read(json, path);
  const { config, warnings } = member.construct(parseConfig(member, given, path), given, path);
  return { optimizer: { member, constructed: config, current: config, bare: new Set() }, warnings };
}

const rules = new WeakMap<Optimizer, Rule>();

/**
 * The update rule for the current attributes, one object per optimizer. Turning on amsgrad or centered adds slots.
 */
export function ruleOf(optimizer: Optimizer): Rule {
  let rule = rules.get(optimizer);
  if (!rule) {
    rule = optimizer.member.rule(optimizer.constructed, optimizer.current);
    rules.set(optimizer, rule);
  }
  return rule;
}

/** The rule that a config selects, such as one of the member's variants. */
export function ruleOfConfig(member: OptimizerMember, given: Config): Rule {
  const { config } = member.construct(parseConfig(member, given), given, "");
  return member.rule(config, config);
}

const slotsByMember = new WeakMap<OptimizerMember, ReadonlySet<string>>();

/** The slots that the optimizer has with any setting of its switches. */
export function slotsOfAnyVariant(member: OptimizerMember): ReadonlySet<string> {
  let slots = slotsByMember.get(member);
  if (!slots) {
    const rules = member.variants.map((config) => ruleOfConfig(member, config));
    slots = new Set(rules.flatMap((rule) => Object.keys(rule.slots)));
    slotsByMember.set(member, slots);
  }
  return slots;
}

/** The numbers that the rule's formulas read, as float32, except `learning_rate`. */
export function uniforms({ member, current }: Optimizer): Record<string, number> {
  const values: Record<string, number> = {};
  for (const [key, value] of Object.entries(current)) {
    if (
      typeof value !== "number" || key === "learning_rate" || CLIPS.has(key) ||
      (key === "decay" && member.timeDecay)
    ) continue;
    values[member.symbols?.[key] ?? key] = f32(value);
  }
  return values;
}

/** The scheduled hyperparameters, except the learning rate, of the step after `iterations` steps, as float32. */
export function scheduled({ member, current }: Optimizer, iterations: number): Record<string, number> {
  const values: Record<string, number> = {};
  for (const key of member.schedulable) {
    const value = current[key] as Schedulable;
    if (key === "learning_rate" || typeof value === "number") continue;
    values[member.symbols?.[key] ?? key] = valueOf(value, f32(iterations));
  }
  return values;
}

function valueOf(value: Schedulable, step: number): number {
  if (typeof value === "number") return f32(value);
  return schedules.find(value.class_name).value(value.config, step);
}

/**
 * The learning rate of the step after `iterations` steps, in float32: schedule first, then decay. 1 if the optimizer
 * has none.
 */
export function learningRate({ member, constructed, current }: Optimizer, iterations: number): number {
  const step = f32(iterations);
  const { learning_rate: rate = 1 } = current;
  const base = valueOf(rate, step);
  const { decay } = constructed as { decay?: number };
  return member.timeDecay && decay ? f32(base / f32(1 + f32(f32(decay) * step))) : base;
}

/**
 * The config that Keras' `get_config` returns: keys in Keras' order, clips only if set.
 *
 * `hypersCreated`: whether the optimizer was already used; from then on hyperparameters read as float32.
 */
export function getConfig(
  { member, current, bare }: Optimizer,
  { hypersCreated }: { hypersCreated: boolean },
): PartJson {
  const config: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(current)) {
    if (value === null) continue;
    const rounded = hypersCreated && typeof value === "number" && member.hyper.includes(key) &&
      !bare.has(key);
    config[key] = rounded ? f32(value) : value;
  }
  return { class_name: member.class_name, config };
}
