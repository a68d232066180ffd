/**
 * The config fields that all optimizers share, and the function that makes a built-in optimizer a family member.
 *
 * Updates and clipping are formulas and kernels, not here. keras.ts adds what only Keras' legacy constructors have.
 * Invariant: a constructed config has its keys in the order of Keras' `get_config`.
 */
import { z } from "zod";
import { type Config, type Problem, REFERENCE, serialize } from "../../mechanism/family.ts";
import { float32 } from "../../../float32.ts";
import { maybeNumber } from "../../mechanism/fields.ts";
import { join } from "../../mechanism/issues.ts";
import { schedules } from "../../schedules/mod.ts";
import { RATE } from "./numbers.ts";
import type { Constructed, OptimizerConfig, OptimizerMember, Rule, Schedulable } from "./optimizer_member.ts";

/** The keys that may hold a schedule in built-in optimizers. */
export const SCHEDULABLE: readonly string[] = ["learning_rate"];

/** The config values that a rule reads. */
export type Values<F extends z.ZodRawShape> = z.output<z.ZodObject<F>>;

/** The definition of a built-in optimizer in its file. */
export interface BuiltIn<F extends z.ZodRawShape> {
  readonly class_name: string;
  readonly summary: string;
  readonly description: string;
  /** The default learning rate. */
  readonly learningRate: number;
  /** Its own keys, in the order of `get_config`. */
  readonly fields: F;
  /** The keys that become float32 once the optimizer is in use, besides learning_rate. */
  readonly hyper: readonly (keyof F & string)[];
  /** The keys that only the constructor reads. */
  readonly fixed?: readonly (keyof F & string)[];
  readonly symbols?: Readonly<Record<string, string>>;
  readonly savedByVersion1?: NonNullable<OptimizerMember["savedByVersion1"]>;
  readonly variants: readonly Config[];
  idle?(constructed: Config, key: string): string | undefined;
  rule(constructed: Values<F>, current: Values<F>): Rule;
}

/** A number or a schedule. */
export function learningRate(fallback: number, range: Parameters<typeof float32>[0] = {}) {
  const bound = range.minimum === undefined ? "" : ` >= ${range.minimum}`;
  return z.union([float32(range), REFERENCE], {
    error: `must be a number${bound} or a schedule {class_name, config}`,
  })
    .default(fallback)
    .describe("The learning rate: a number, or a learning-rate schedule in the form {class_name, config}.");
}

/** What every optimizer of the service takes, whatever its framework has. */
export const clipFields = {
  clipnorm: maybeNumber("Clips each variable's gradient to this L2 norm.", { minimum: 0 }),
  clipvalue: maybeNumber("Clips each element of the gradients to ± this value.", { minimum: 0 }),
  global_clipnorm: maybeNumber("Clips all gradients together to this L2 norm; not with clipnorm.", {
    minimum: 0,
  }),
};

export function baseFields(className: string, rate: number) {
  return {
    name: z.string().nullable().default(className)
      .describe("A name for the optimizer; empty or null becomes the class name in snake_case."),
    ...clipFields,
    learning_rate: learningRate(rate),
  };
}

/** Keras' constructors accept only one of the two norms. */
export function bothNorms(given: Config): Problem[] {
  const { clipnorm, global_clipnorm } = given as Partial<OptimizerConfig>;
  if (clipnorm == null || global_clipnorm == null) return [];
  return [{
    key: "global_clipnorm",
    message: `is ${global_clipnorm} beside clipnorm ${clipnorm}, must be null or alone`,
  }];
}

/** Names as Keras generates them: `RMSprop` → `rm_sprop`. */
export function snakeCase(className: string): string {
  return className.replace(/(.)([A-Z][a-z0-9]+)/g, "$1_$2").replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase();
}

/** The config with every schedule's defaults filled in. */
export function withRates(
  { schedulable }: Pick<OptimizerMember, "schedulable">,
  config: Config,
  path: string,
): OptimizerConfig {
  const rates = schedulable.map((key) => [key, resolveRate(config[key], { key, path })]);
  return { ...(config as OptimizerConfig), ...Object.fromEntries(rates) };
}

/** Fills in all defaults of a schedule in any of its forms; returns a number unchanged. */
export function resolveRate(
  value: unknown,
  { key, path, field = "config" }: { key: string; path: string; field?: string },
): Schedulable {
  if (typeof value === "number") return value;
  return serialize(schedules.resolve(value, join(path, field, key)));
}

/** Turns a checked config into a constructed one: sets the name and fills in the schedule. */
export function constructBase(
  { class_name: className, schedulable }: Pick<OptimizerMember, "class_name" | "schedulable">,
  config: Config,
  path: string,
): Constructed {
  const { name } = config as OptimizerConfig;
  const warnings: string[] = [];
  const named = name || snakeCase(className);
  if (!name) {
    warnings.push(`name ${JSON.stringify(name)} becomes "${named}"; unlike in Keras it is not made unique`);
  }
  return { config: { ...withRates({ schedulable }, config, path), name: named }, warnings };
}

/** Defines an optimizer that Keras' legacy family lacks: no `decay`, no `lr`, and an epsilon of 0 stays 0. */
export function optimizer<F extends z.ZodRawShape>(
  builtIn: BuiltIn<F>,
): OptimizerMember<Values<F> & Config> {
  const { class_name, learningRate: rate, fields, hyper, fixed, ...rest } = builtIn;
  return {
    ...rest,
    class_name,
    config: z.strictObject({ ...baseFields(class_name, rate), ...fields }),
    hyper: ["learning_rate", ...hyper],
    fixed: ["name", ...fixed ?? []],
    schedulable: SCHEDULABLE,
    timeDecay: false,
    rateKey: RATE,
    check: bothNorms,
    construct: (config, _given, path) =>
      constructBase({ class_name, schedulable: SCHEDULABLE }, config, path),
  };
}
