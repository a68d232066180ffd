/**
 * A constructed optimizer as a value: what its constructor decided, and its current attributes.
 *
 * Not a run: it has no variables, no slots and no iteration count. It is immutable; `overwrite` returns a new one.
 * Invariant: `current` has the keys of `constructed`, and the `fixed` ones have the same values.
 */
import { evaluateDoubles } from "../../../kernels/language/doubles.ts";
import { type Config, parseConfig, type PartJson, type Spelling } from "../mechanism/family.ts";
import { f32 } from "../schedules/schedule.ts";
import { schedules } from "../schedules/mod.ts";
import { numbersOf, RATE, rateOf } from "./member/numbers.ts";
import type { OptimizerConfig, OptimizerMember, Rule, Schedulable } from "./member/optimizer_member.ts";
import { type OptimizerFamily, optimizers } from "./mod.ts";

export interface Optimizer {
  readonly member: OptimizerMember;
  readonly constructed: OptimizerConfig;
  readonly current: OptimizerConfig;
  /** Hyperparameters set to a number after a schedule: Keras does not keep these in float32 variables. */
  readonly bare: ReadonlySet<string>;
  /** How it was written when it was created, which is how it is answered. */
  readonly spelling: Spelling;
  /** What sparse gradients do; absent: what its rule says. */
  readonly sparse?: Sparse;
}

/**
 * What a sparse gradient does. keras: what the rule says. lazy: the dense lines, on the rows that came. exact: what the
 * dense gradient does that has zeros in all other rows.
 */
export const SPARSE = ["keras", "lazy", "exact"] as const;
export type Sparse = typeof SPARSE[number];

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
  const { member, given, spelling } = family.read(json, path);
  const { config, warnings } = member.construct(parseConfig(member, given, path), given, path);
  const optimizer = { member, constructed: config, current: config, bare: new Set<string>(), spelling };
  return { optimizer, warnings };
}

const rules = new WeakMap<Optimizer, Rule>();

/**
 * The update rule for the current attributes, one object per optimizer. Turning on amsgrad or centered adds slots.
 */
export function ruleOf(optimizer: Optimizer): Rule {
  let rule = rules.get(optimizer);
  if (!rule) {
    rule = withSparse(optimizer.member.rule(optimizer.constructed, optimizer.current), optimizer.sparse);
    rules.set(optimizer, rule);
  }
  return rule;
}

function withSparse(rule: Rule, sparse: Sparse = "keras"): Rule {
  if (sparse === "keras") return rule;
  const { sparse: _rows, sparseScalarRows: _scalars, sparseAsDense: _all, ...dense } = rule;
  return sparse === "exact" ? { ...dense, sparseAsDense: true } : dense;
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
  return Object.fromEntries(
    numbersOf(member, current).filter(({ name }) => name !== RATE).map((
      { name, value },
    ) => [name, f32(value)]),
  );
}

/**
 * The numbers of the step after `iterations` steps that are not the same in every step, as float32: scheduled
 * hyperparameters, except the learning rate, and what the rule computes in float64.
 */
export function numbersOfStep(optimizer: Optimizer, iterations: number): Record<string, number> {
  const { member, current } = optimizer;
  const values: Record<string, number> = {};
  for (const key of member.schedulable) {
    const value = current[key] as Schedulable;
    if (key === member.rateKey || typeof value === "number") continue;
    values[member.symbols?.[key] ?? key] = valueOf(value, f32(iterations));
  }
  const { doubles = [] } = ruleOf(optimizer);
  if (doubles.length === 0) return values;
  const given = { learning_rate: learningRate(optimizer, iterations) };
  // A decayed rate is a float32, as in Keras.
  const numbers = numbersOf(member, current).filter(({ name }) => name !== RATE || !decayOf(optimizer));
  for (const { name, value } of numbers) Object.assign(given, { [name]: value });
  return {
    ...values,
    ...evaluateDoubles(doubles, { ...given, ...values, t: iterations, T: iterations + 1 }),
  };
}

function valueOf(value: Schedulable, step: number): number {
  if (typeof value === "number") return f32(value);
  return schedules.find(value.class_name).value(value.config, step);
}

function decayOf({ member, constructed }: Optimizer): number {
  const { decay } = constructed as { decay?: number };
  return member.timeDecay && decay ? decay : 0;
}

/**
 * The learning rate of the step after `iterations` steps, in float32: schedule first, then decay. 1 if the optimizer
 * has none.
 */
export function learningRate(optimizer: Optimizer, iterations: number): number {
  const step = f32(iterations);
  const base = valueOf(rateOf(optimizer.member, optimizer.current), step);
  const decay = decayOf(optimizer);
  return decay ? f32(base / f32(1 + f32(f32(decay) * step))) : base;
}

/**
 * The optimizer in the form in which it was created, with the config that its framework would write: Keras'
 * `get_config`, with keys in Keras' order.
 *
 * `hypersCreated`: whether the optimizer was already used; from then on hyperparameters that the framework keeps in
 * float32 variables read as float32.
 */
export function getConfig(
  { member, current, bare, spelling }: Optimizer,
  { hypersCreated }: { hypersCreated: boolean },
): PartJson {
  const entries = Object.entries(current).map(([key, value]) => {
    const rounded = hypersCreated && typeof value === "number" && member.hyper.includes(key) &&
      !bare.has(key);
    return [key, rounded ? f32(value) : value] as const;
  });
  const config = member.written?.(Object.fromEntries(entries)) ??
    Object.fromEntries(entries.filter(([, value]) => value !== null));
  const { registered_name, ...names } = spelling;
  return { ...names, config, ...registered_name !== undefined && { registered_name } };
}
