/**
 * The type of an initializer: a family member that fills a new variable.
 *
 * An initializer writes its values straight to where they belong, in parts, so that a large variable needs no second
 * copy and others are served between the parts. Invariants: the same config with a seed and the same shape give the
 * same bits, however the values are cut into parts. These are not the bits that Keras draws.
 */
import { z } from "zod";
import type { Shape } from "../../tensor.ts";
import type { Config, Member } from "../mechanism/family.ts";

export type Values = Float32Array<ArrayBuffer>;

/** Writes the next values, from the element `first` on. It is called for all elements, in row-major order. */
export type Fill = (part: Values, first: number) => void;

export interface Place {
  readonly shape: Shape;
  /** Draws a seed for a config without one. */
  readonly drawSeed: () => number;
  /** The path of the initializer in the request. */
  readonly path: string;
}

export interface InitializerMember<C extends Config = Config> extends Member {
  /** Throws `invalid_config` if the initializer cannot fill the shape. */
  initialize(config: C, place: Place): Fill | Promise<Fill>;
  /** Multiplications that `initialize` takes, where they are more than a few per element. */
  work?(shape: Shape): number;
}

/** Defines an initializer whose `initialize` gets its config with the schema's types. */
export function initializer<F extends z.ZodRawShape>(member: {
  readonly class_name: string;
  readonly summary: string;
  readonly aliases: readonly string[];
  readonly fields: F;
  initialize(config: z.output<z.ZodObject<F>>, place: Place): Fill | Promise<Fill>;
  work?(shape: Shape): number;
}): InitializerMember<z.output<z.ZodObject<F>> & Config> {
  const { fields, ...rest } = member;
  return { ...rest, config: z.strictObject(fields) };
}

export function seed() {
  return z.int().nullable().default(null).describe(
    "The same seed gives the same values; null draws another each time.",
  );
}
