/**
 * What PyTorch's optimizers share: the names of config keys, the keys that change no number, `maximize`, and the
 * checks of their constructors.
 *
 * Invariant: a config is what the class of `torch.optim` takes as keyword arguments, and a rule's numbers of a step
 * are computed in float64, as Python does. Steps are counted by the run; PyTorch counts them for each parameter,
 * which differs for one that had no gradient in a step.
 */
import { z } from "zod";
import { float32 } from "../../../float32.ts";
import type { Config, Problem } from "../../mechanism/family.ts";
import { flag, number } from "../../mechanism/fields.ts";
import { bothNorms, clipFields, learningRate, type Values, withRates } from "../member/base.ts";
import type { OptimizerMember, Rule } from "../member/optimizer_member.ts";

export const TORCH = "torch.optim";

interface TorchBuiltIn<F extends z.ZodRawShape> {
  readonly class_name: string;
  readonly summary: string;
  readonly description: string;
  /** The default learning rate. */
  readonly lr: number;
  /** Whether only the first step reads the learning rate, so that it can be neither a schedule nor changed. */
  readonly fixedRate?: true;
  /** Its own keys, in the order of the constructor. */
  readonly fields: F;
  readonly symbols?: Readonly<Record<string, string>>;
  readonly variants: readonly Config[];
  idle?(constructed: Config, key: string): string | undefined;
  check?(given: Config): readonly Problem[];
  rule(constructed: Values<F> & { lr: number }, current: Values<F> & { lr: number }): Rule;
}

/** A switch of PyTorch that changes no number here; it is answered as it was given. */
const neutral = (what: string) =>
  z.boolean().nullable().optional().describe(`${what}: it changes no number here.`);

const NEUTRAL = {
  foreach: neutral("Whether PyTorch steps all tensors in one call"),
  capturable: neutral("Whether PyTorch can capture the step in a CUDA graph"),
  differentiable: neutral("Whether PyTorch can differentiate the step"),
  fused: neutral("Whether PyTorch uses its fused kernel"),
};

/** Two factors in [0, 1). */
export function betas() {
  return z.array(float32({ minimum: 0 }).lt(1)).length(2).default([0.9, 0.999])
    .describe("How much of the first and of the second moment stays.");
}
export const BETAS = { "betas.0": "beta_1", "betas.1": "beta_2" };

export const eps = (value: number) =>
  number(value, "A small constant against division by zero.", { minimum: 0 });
export const weightDecay = (value = 0) =>
  number(value, "What part of the variable is added to its gradient, or taken away.", { minimum: 0 });
export const decoupled = () =>
  flag(
    false,
    "Take weight_decay times the learning rate off the variable, instead of adding it to the gradient.",
  );

/** A line that sets `d`: the gradient of what is minimized, with weight decay if it passes through the moments. */
export function direction(weight_decay: number): string {
  return `d = direction * g${weight_decay > 0 ? " + weight_decay * w" : ""}`;
}
/** What `d` reads. */
export const DIRECTION = "direction = 1 - 2 * maximize";

/** Defines a member of torch.optim. */
export function torch<F extends z.ZodRawShape>(
  builtIn: TorchBuiltIn<F>,
): OptimizerMember<Values<F> & Config> {
  const { fields, lr, fixedRate, symbols, check, rule, ...rest } = builtIn;
  const description = "The learning rate; PyTorch calls it lr.";
  const schedulable = fixedRate ? [] : ["lr"];
  return {
    ...rest,
    module: TORCH,
    config: z.strictObject({
      lr: fixedRate
        ? float32({ minimum: 0 }).default(lr).describe(description)
        : learningRate(lr, { minimum: 0 }).describe(`${description} A number or a schedule.`),
      ...fields,
      maximize: flag(false, "Maximize instead of minimizing."),
      ...NEUTRAL,
      ...clipFields,
    }),
    hyper: [],
    fixed: [...Object.keys(NEUTRAL), ...fixedRate ? ["lr"] : []],
    schedulable,
    symbols: { ...symbols, maximize: "maximize" },
    timeDecay: false,
    rateKey: "lr",
    check: (given) => [...bothNorms(given), ...check?.(given) ?? []],
    construct: (config, _given, path) => ({ config: withRates({ schedulable }, config, path), warnings: [] }),
    rule: (constructed, current) => {
      const { doubles = [], ...lines } = rule(
        constructed as Values<F> & { lr: number },
        current as Values<F> & { lr: number },
      );
      return { ...lines, doubles: [DIRECTION, ...doubles] };
    },
  };
}
