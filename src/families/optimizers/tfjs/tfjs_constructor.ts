/**
 * What TensorFlow.js' optimizers share: the names of config keys, as `getConfig()` writes them, and epsilon.
 *
 * Invariant: a config is what the class' `fromConfig` takes. TensorFlow.js has no sparse gradients: those of a gather
 * are dense, with zeros elsewhere.
 */
import { z } from "zod";
import { float32 } from "../../../float32.ts";
import type { Config } from "../../mechanism/family.ts";
import { number } from "../../mechanism/fields.ts";
import { bothNorms, clipFields, learningRate, type Values, withRates } from "../member/base.ts";
import type { OptimizerMember, Rule } from "../member/optimizer_member.ts";

export const TFJS = "tfjs";

const RATE_KEY = "learningRate";

interface TfjsBuiltIn<F extends z.ZodRawShape> {
  readonly class_name: string;
  readonly summary: string;
  readonly description: string;
  /** The default learning rate; some classes of TensorFlow.js have none. */
  readonly learningRate: number;
  /** Its own keys, in the order of `getConfig()`. */
  readonly fields: F;
  readonly fixed?: readonly (keyof F & string)[];
  readonly symbols?: Readonly<Record<string, string>>;
  readonly variants: readonly Config[];
  rule(constructed: Values<F>, current: Values<F>): Rule;
}

/** What TensorFlow.js' backends on a CPU have in place of an epsilon of null. */
export const BACKEND_EPSILON = 1e-7;

export const epsilon = () =>
  float32({ minimum: 0 }).nullable().default(BACKEND_EPSILON)
    .describe("A small constant against division by zero; null becomes 1e-7.");

export const betas = {
  beta1: number(0.9, "How much of the first moment stays."),
  beta2: number(0.999, "How much of the second moment stays."),
};

/** Defines a member of TensorFlow.js. */
export function tfjs<F extends z.ZodRawShape>(builtIn: TfjsBuiltIn<F>): OptimizerMember<Values<F> & Config> {
  const { fields, learningRate: rate, fixed = [], rule, ...rest } = builtIn;
  const schedulable = [RATE_KEY];
  return {
    ...rest,
    module: TFJS,
    config: z.strictObject({ [RATE_KEY]: learningRate(rate), ...fields, ...clipFields }),
    hyper: [],
    fixed,
    schedulable,
    timeDecay: false,
    rateKey: RATE_KEY,
    check: bothNorms,
    construct: (config, _given, path) => {
      const made = withRates({ schedulable }, config, path);
      return {
        config: made["epsilon"] === null ? { ...made, epsilon: BACKEND_EPSILON } : made,
        warnings: [],
      };
    },
    rule: (constructed, current) => ({ ...rule(constructed, current), sparseAsDense: true }),
  };
}
