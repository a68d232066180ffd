/**
 * What optax's optimizers share. optax has no serialized form: a config has the names of its functions' arguments.
 *
 * Invariant: 1 − b is computed in float64, as Python does, and the powers of b in float32, as JAX does. JAX has no
 * sparse gradients: those of a gather are dense, with zeros elsewhere.
 */
import { z } from "zod";
import type { Config } from "../../mechanism/family.ts";
import { number } from "../../mechanism/fields.ts";
import { bothNorms, clipFields, learningRate, SCHEDULABLE, type Values, withRates } from "../member/base.ts";
import { RATE } from "../member/numbers.ts";
import type { OptimizerMember, Rule } from "../member/optimizer_member.ts";

export const OPTAX = "optax";

interface OptaxBuiltIn<F extends z.ZodRawShape> {
  readonly class_name: string;
  readonly summary: string;
  readonly description: string;
  /** Its own arguments, in their order, without masks and dtypes. */
  readonly fields: F;
  readonly variants: readonly Config[];
  rule(constructed: Values<F>, current: Values<F>): Rule;
}

/** optax's functions have no default for the learning rate. */
const RATE_DEFAULT = 0.001;

export const b1b2 = (b1 = 0.9, b2 = 0.999) => ({
  b1: number(b1, "How much of the first moment stays."),
  b2: number(b2, "How much of the second moment stays."),
});
export const eps = (value: number) => number(value, "Added to the root.", { minimum: 0 });
export const epsRoot = (value = 0) => number(value, "Added inside the root.", { minimum: 0 });
export const weightDecay = (value: number) =>
  number(value, "How much of the variable is added to the step.", { minimum: 0 });

/** Lines that set `mu`, and the doubles that they read. */
export const MU = "mu = rest_1 * g + b1 * mu";
export const NU = "nu = rest_2 * (g * g) + b2 * nu";
export const RESTS = ["rest_1 = 1 - b1", "rest_2 = 1 - b2"];
export const BIASES = ["bias_1 = 1 - b1 ^ T", "bias_2 = 1 - b2 ^ T"];

/** The lines of a step `u` with weight decay. */
export function move(weight_decay = 0): string[] {
  return [...weight_decay > 0 ? ["u = u + weight_decay * w"] : [], "w = w - learning_rate * u"];
}

/** Defines a member of optax. */
export function optax<F extends z.ZodRawShape>(
  builtIn: OptaxBuiltIn<F>,
): OptimizerMember<Values<F> & Config> {
  const { fields, rule, ...rest } = builtIn;
  return {
    ...rest,
    module: OPTAX,
    config: z.strictObject({ learning_rate: learningRate(RATE_DEFAULT), ...fields, ...clipFields }),
    hyper: [],
    fixed: [],
    schedulable: SCHEDULABLE,
    timeDecay: false,
    rateKey: RATE,
    check: bothNorms,
    construct: (config, _given, path) => ({
      config: withRates({ schedulable: SCHEDULABLE }, config, path),
      warnings: [],
    }),
    rule: (constructed, current) => ({ ...rule(constructed, current), sparseAsDense: true }),
  };
}
