/**
 * The type of a staleness weighting: a family member that gives the factor of a contribution computed some iterations
 * ago. The limit beyond which a contribution is refused is the run's `max_staleness`, not here.
 *
 * Every operation is rounded to float32; powers are those of kernels/libm/mod.ts. Invariant: the factor of staleness
 * 0 is 1, and no factor is negative, above 1 or NaN.
 */
import { z } from "zod";
import type { Config, Member } from "../mechanism/family.ts";

export interface StalenessWeightingMember<C extends Config = Config> extends Member {
  /** The factor, a float32 from 0 to 1, at `staleness`: whole iterations, ≥ 0. */
  factor(config: C, staleness: number): number;
}

export const f32 = Math.fround;

/** Defines a staleness weighting whose `factor` gets its config with the schema's types. */
export function stalenessWeighting<F extends z.ZodRawShape>(member: {
  readonly class_name: string;
  readonly summary: string;
  readonly fields: F;
  factor(config: z.output<z.ZodObject<F>>, staleness: number): number;
}): StalenessWeightingMember<z.output<z.ZodObject<F>> & Config> {
  const { fields, ...rest } = member;
  return { ...rest, config: z.strictObject(fields) };
}
