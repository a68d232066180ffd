/**
 * The type of an initializer: a family member that fills a new variable.
 *
 * Random initializers draw from tfjs (sampler.ts), which is loaded on first use. Invariant: the same config with a
 * seed and the same shape give the same bits. These are not the bits that Keras draws.
 */
import { z } from "zod";
import type { Shape } from "../../tensor.ts";
import type { Config, Member } from "../mechanism/family.ts";

export type Values = Float32Array<ArrayBuffer>;

export interface Place {
  readonly shape: Shape;
  /** Draws a seed for a config without one. */
  readonly drawSeed: () => number;
  /** The path of the initializer in the request. */
  readonly path: string;
}

export interface InitializerMember<C extends Config = Config> extends Member {
  /** Values in row-major order. Throws `invalid_config` if the initializer cannot fill the shape. */
  initialize(config: C, place: Place): Values | Promise<Values>;
}

/** Defines an initializer whose `initialize` gets its config with the schema's types. */
export function initializer<F extends z.ZodRawShape>(member: {
  readonly class_name: string;
  readonly summary: string;
  readonly aliases: readonly string[];
  readonly fields: F;
  initialize(config: z.output<z.ZodObject<F>>, place: Place): Values | Promise<Values>;
}): InitializerMember<z.output<z.ZodObject<F>> & Config> {
  const { fields, ...rest } = member;
  return { ...rest, config: z.strictObject(fields) };
}

export function seed() {
  return z.int().nullable().default(null).describe(
    "The same seed gives the same values; null draws another each time.",
  );
}
