/**
 * What Keras' optimizers since 2.11 share, those of Keras 3 among them: weight decay for every optimizer, keys that
 * say that something is off, and configs that Keras loads again.
 *
 * Not for Keras' legacy optimizers. Invariant: everything that Keras' `get_config` writes is taken, and answered with
 * the same keys; a value that would change numbers and that is not done here is refused.
 */
import { z } from "zod";
import { float32 } from "../../../float32.ts";
import type { Config, PartJson } from "../../mechanism/family.ts";
import { maybeNumber, number } from "../../mechanism/fields.ts";
import {
  bothNorms,
  clipFields,
  learningRate,
  SCHEDULABLE,
  snakeCase,
  type Values,
  withRates,
} from "../member/base.ts";
import { RATE } from "../member/numbers.ts";
import type { OptimizerConfig, OptimizerMember, Rule } from "../member/optimizer_member.ts";

export const KERAS = "keras.optimizers";

type Decayed<F extends z.ZodRawShape> = Values<F> & { readonly weight_decay: number | null };

interface KerasBuiltIn<F extends z.ZodRawShape> {
  readonly class_name: string;
  readonly summary: string;
  readonly description: string;
  /** The default learning rate. */
  readonly learningRate: number;
  /** The default weight decay; absent: none. */
  readonly weightDecay?: number;
  /** Its own keys, in the order of `get_config`. */
  readonly fields: F;
  readonly fixed?: readonly (keyof F & string)[];
  readonly symbols?: Readonly<Record<string, string>>;
  /** Without those with weight decay. */
  readonly variants: readonly Config[];
  idle?(constructed: Config, key: string): string | undefined;
  /** Without weight decay. */
  rule(constructed: Decayed<F>, current: Decayed<F>): Rule;
}

const off = (what: string) => ({ error: `must be null: ${what} here` });

/** Keys that some versions write; they are answered where they were given. */
const NEUTRAL = {
  use_ema: z.literal(false, { error: "must be false: averages of the weights are not kept here" }).optional()
    .describe("Whether Keras keeps an average of the weights; only false."),
  ema_momentum: float32({ minimum: 0, maximum: 1 }).optional().describe("Says nothing without use_ema."),
  ema_overwrite_frequency: z.int().min(1).max(2 ** 31).nullable().optional()
    .describe("Says nothing without use_ema."),
  loss_scale_factor: z.literal(0, off("losses are not scaled")).nullable().optional()
    .describe("By what Keras divides the gradients; only null or 0."),
  gradient_accumulation_steps: z.literal(0, off("gradients are not accumulated, but rounds are")).nullable()
    .optional().describe("How many gradients Keras takes for one step; only null or 0."),
  jit_compile: z.boolean().optional().describe("Whether Keras compiles with XLA: it changes nothing here."),
  is_legacy_optimizer: z.literal(false).optional().describe(
    "How Keras 2.11 to 2.15 tell these from legacy ones.",
  ),
};

export const epsilon = () => number(1e-7, "A small constant against division by zero.", { minimum: 0 });
export const betas = (second = 0.999) => ({
  beta_1: number(0.9, "How much of the first moment stays."),
  beta_2: number(second, "How much of the second moment stays."),
});

function weightDecay(fallback: number | undefined) {
  const description = "What part of the variable a rate of 1 would take away, before the step.";
  return fallback === undefined
    ? maybeNumber(`${description} Null: none.`, { minimum: 0 })
    : number(fallback, description, { minimum: 0 });
}

/** Defines a member of keras.optimizers. */
export function keras<F extends z.ZodRawShape>(
  builtIn: KerasBuiltIn<F>,
): OptimizerMember<Decayed<F> & Config> {
  const { class_name, learningRate: rate, weightDecay: decay, fields, fixed = [], variants, rule, ...rest } =
    builtIn;
  return {
    ...rest,
    class_name,
    module: KERAS,
    config: z.strictObject({
      name: z.string().nullable().default(null)
        .describe("A name for the optimizer; empty or null becomes the class name in snake_case."),
      learning_rate: learningRate(rate),
      weight_decay: weightDecay(decay),
      ...clipFields,
      ...NEUTRAL,
      ...fields,
    }),
    hyper: SCHEDULABLE,
    fixed: ["name", ...Object.keys(NEUTRAL), ...fixed],
    schedulable: SCHEDULABLE,
    timeDecay: false,
    rateKey: RATE,
    variants: [
      ...variants,
      ...variants.map((variant) => ({ ...variant, weight_decay: decay === undefined ? 0.1 : 0 })),
    ],
    check: bothNorms,
    construct: (config, _given, path) => ({
      config: {
        ...withRates({ schedulable: SCHEDULABLE }, config, path),
        name: (config as OptimizerConfig).name || snakeCase(class_name),
      },
      warnings: [],
    }),
    written: (config) =>
      Object.fromEntries(
        Object.entries(config).map(([key, value]) => [key, isSchedule(value) ? spelled(value) : value]),
      ),
    rule: (constructed, current) => {
      const { dense, ...lines } = rule(constructed, current);
      const decays = (current.weight_decay ?? 0) > 0;
      return {
        ...lines,
        sparseAsDense: true,
        dense: [...decays ? ["w = w - (w * weight_decay) * learning_rate"] : [], ...dense],
      };
    },
  };
}

const isSchedule = (value: unknown): value is PartJson => typeof value === "object" && value !== null;

/** A schedule in the form that Keras loads inside an optimizer's config. Keras 3 takes no name that is null. */
function spelled({ class_name, config: { name, ...config } }: PartJson): PartJson {
  return {
    module: "keras.optimizers.schedules",
    class_name,
    config: { ...config, ...typeof name === "string" && { name } },
    registered_name: null,
  };
}
