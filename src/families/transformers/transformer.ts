/**
 * The type of a gradient transformer: a family member that describes the change of a variable's gradient after
 * clipping and before the optimizer, as data that the planner turns into kernel calls.
 */
import { z } from "zod";
import type { Config, Member } from "../mechanism/family.ts";

export type TransformerRule =
  /** Lines over `g` (and `w`); `norm(g)` is over the whole gradient. */
  | { readonly kind: "lines"; readonly lines: readonly string[] }
  /** The lines in the config, over `g`, `w`, `t`, `T` and its parameters. */
  | { readonly kind: "formula" }
  /** `g` minus its mean over all axes but the last; a gradient of rank < 2 stays as it is. */
  | { readonly kind: "axis_mean"; readonly axes: "all_but_last" }
  /** `g` plus Gaussian noise of the config's `stddev` and `seed`, in every element; dense gradients only. */
  | { readonly kind: "noise" };

export interface TransformerMember<C extends Config = Config> extends Member {
  readonly rule: TransformerRule;
  /** The numbers that the lines read, or the parameters of the noise. */
  uniforms(config: C): Readonly<Record<string, number>>;
}

/** Defines a transformer whose lines read its config's numbers. */
export function transformer<F extends Record<string, z.ZodType<number>>>(member: {
  readonly class_name: string;
  readonly summary: string;
  readonly fields: F;
  readonly rule: TransformerRule;
}): TransformerMember<Config & Record<string, number>> {
  const { fields, ...rest } = member;
  return { ...rest, config: z.strictObject(fields), uniforms: (config) => config };
}
