/**
 * The type of a clip norm: a family member that says how the bound on the norm of each contribution moves from step to
 * step. A bound that stays is a number, not a member.
 *
 * Every operation is rounded to float32; exponentials are those of kernels/libm/mod.ts. Invariant: a bound is a normal
 * float32 above 0, whatever the contributions were.
 */
import { z } from "zod";
import type { Config, Member, Problem } from "../mechanism/family.ts";

/** The contributions of one step. */
export interface Clipped {
  /** The bound under which they came. */
  readonly norm: number;
  readonly count: number;
  /** How many of them had a norm of at most the bound. */
  readonly within: number;
  /** The run's iterations before the step. */
  readonly iteration: number;
}

export interface ClipNormMember<C extends Config = Config> extends Member {
  /** The bound before the first step. */
  initial(config: C): number;
  /** The bound after a step. */
  next(config: C, clipped: Clipped): number;
}

/** Defines a clip norm whose functions get its config with the schema's types. */
export function clipNorm<F extends z.ZodRawShape>(member: {
  readonly class_name: string;
  readonly summary: string;
  readonly fields: F;
  check?(given: Config): readonly Problem[];
  initial(config: z.output<z.ZodObject<F>>): number;
  next(config: z.output<z.ZodObject<F>>, clipped: Clipped): number;
}): ClipNormMember<z.output<z.ZodObject<F>> & Config> {
  const { fields, ...rest } = member;
  return { ...rest, config: z.strictObject(fields) };
}
