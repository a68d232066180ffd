/**
 * The type of a learning-rate schedule: a family member whose config gives a rate for every step.
 *
 * Every operation is rounded to float32 where TensorFlow rounds it: {@link f32} wraps each one, and powers,
 * logarithms and cosines are those of kernels/libm/mod.ts. A schedule is evaluated only once per step, so there is
 * nothing to compile. Like Keras, the members check no ranges: 0 decay_steps give NaN or an infinity, as in IEEE
 * arithmetic.
 */
import { z } from "zod";
import type { Config, Member } from "../mechanism/family.ts";
import { float32 } from "../../float32.ts";
import { number } from "../mechanism/fields.ts";

export interface ScheduleMember<C extends Config = Config> extends Member {
  /** The rate at `step` (the iterations before the step, a float32), itself a float32. */
  value(config: C, step: number): number;
}

export const f32 = Math.fround;

/** Defines a schedule whose `value` gets its config with the schema's types. */
export function schedule<F extends z.ZodRawShape>(member: {
  readonly class_name: string;
  readonly summary: string;
  readonly fields: F;
  readonly formulas?: readonly string[];
  check?(given: Config): ReturnType<NonNullable<Member["check"]>>;
  value(config: z.output<z.ZodObject<F>>, step: number): number;
}): ScheduleMember<z.output<z.ZodObject<F>> & Config> {
  const { fields, ...rest } = member;
  return { ...rest, config: z.strictObject(fields) };
}

export const initialRate = () => float32().describe("The learning rate to start from.");
export const scheduleName = () => z.string().nullable().default(null).describe("A name, for Keras only.");
export const floor = (fallback: number) =>
  number(fallback, "The least rate, as a fraction of the initial one.");
