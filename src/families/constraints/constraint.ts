/**
 * What a constraint is: a member that says what becomes of a variable after its dense update, as data that the
 * planner turns into kernel calls. Norms are `√max(Σw², 0)` over some axes, in float32.
 *
 * Invariant: a rule fits the shape it was asked for.
 */
import { z } from "zod";
import { type Config, invalidConfig, type Member, type Problem } from "../mechanism/family.ts";
import { type Shape, showShape } from "../../tensor.ts";

export type ConstraintRule =
  /** Lines over `w`. */
  | { readonly kind: "elementwise"; readonly lines: readonly string[] }
  /** Lines over `norm`, one number for each place outside the axes, that end by assigning `factor`. */
  | {
    readonly kind: "axis_norm";
    /** Rising and from 0 on; null is all axes together. */
    readonly axis: readonly number[] | null;
    readonly factor: readonly string[];
    /** `w = w * factor` or `w = w / factor`. */
    readonly apply: "multiply" | "divide";
  }
  /** The variable as [rows·columns, rest]: row i becomes what row `sources[i]` was. */
  | { readonly kind: "copy_rows"; readonly sources: readonly number[] };

export interface Constraint {
  readonly rule: ConstraintRule;
  /** The numbers that the lines name. */
  readonly uniforms: Readonly<Record<string, number>>;
}

export interface ConstraintMember<C extends Config = Config> extends Member {
  /** Throws `invalid_config` when the constraint does not suit variables of this shape. */
  rule(config: C, shape: Shape, path: string): Constraint;
}

/** A member whose `rule` sees its config with the schema's types. */
export function constraint<F extends z.ZodRawShape>(member: {
  readonly class_name: string;
  readonly summary: string;
  readonly aliases?: readonly string[];
  readonly fields: F;
  check?(given: Config): readonly Problem[];
  rule(config: z.output<z.ZodObject<F>>, shape: Shape, path: string): Constraint;
}): ConstraintMember<z.output<z.ZodObject<F>> & Config> {
  const { fields, ...rest } = member;
  return { ...rest, config: z.strictObject(fields) };
}

/** Keras' backend epsilon: it is added to the norm, so that even what complies shrinks a little. */
export const EPSILON = 1e-7;

const index = () => z.int().min(-64).max(63);

/** An axis, several, or null for all; negative ones count from the last. */
export function axis() {
  return z.union([index(), z.array(index()).min(1)], { error: "must be an axis, a list of axes or null" })
    .nullable().default(0)
    .describe("The axes to take norms over: 0 is per unit of a dense kernel [in, out]; null is all.");
}

/** The axes of a shape, from 0 on and rising. Throws `invalid_config` for one that the shape lacks or twice has. */
export function resolveAxes(
  given: number | readonly number[] | null,
  { className, shape, path }: { className: string; shape: Shape; path: string },
): readonly number[] | null {
  if (given === null) return null;
  const axes = [given].flat().map((each) => each < 0 ? each + shape.length : each).sort((a, b) => a - b);
  const wrong = axes.some((each, at) => each < 0 || each >= shape.length || each === axes[at - 1]);
  if (!wrong) return axes;
  const message = `is ${JSON.stringify(given)}, must be different axes of the shape ${showShape(shape)}`;
  throw invalidConfig(className, [{ path: "axis", message }], path);
}
