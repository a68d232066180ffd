/**
 * The type of a constraint: a family member that describes the change of a variable after its dense update, as data
 * that the planner turns into kernel calls. Norms are `√max(Σw², 0)` over some axes, in float32.
 *
 * Invariant: a rule fits the shape that it was made for.
 */
import { z } from "zod";
import { type Config, invalidConfig, type Member, type Problem } from "../mechanism/family.ts";
import { type Shape, showShape } from "../../tensor.ts";

export type ConstraintRule =
  /** Lines over `w`. */
  | { readonly kind: "elementwise"; readonly lines: readonly string[] }
  /** Lines that compute `factor` from `norm`, one number for each place outside the axes. */
  | {
    readonly kind: "axis_norm";
    /** Ascending, counted from 0; null is all axes together. */
    readonly axis: readonly number[] | null;
    readonly factor: readonly string[];
    /** `w = w * factor` or `w = w / factor`. */
    readonly apply: "multiply" | "divide";
  }
  /** The variable as [rows·columns, rest]: row i becomes a copy of row `sources[i]`. */
  | { readonly kind: "copy_rows"; readonly sources: readonly number[] };

export interface Constraint {
  readonly rule: ConstraintRule;
  /** The numbers that the lines read. */
  readonly uniforms: Readonly<Record<string, number>>;
}

export interface ConstraintMember<C extends Config = Config> extends Member {
  /** Throws `invalid_config` when the constraint does not suit variables of this shape. */
  rule(config: C, shape: Shape, path: string): Constraint;
}

/** Defines a constraint whose `rule` gets its config with the schema's types. */
export function constraint<F extends z.ZodRawShape>(member: {
  readonly class_name: string;
  readonly summary: string;
  readonly aliases?: readonly string[];
  readonly fields: F;
  readonly formulas?: readonly string[];
  check?(given: Config): readonly Problem[];
  rule(config: z.output<z.ZodObject<F>>, shape: Shape, path: string): Constraint;
}): ConstraintMember<z.output<z.ZodObject<F>> & Config> {
  const { fields, ...rest } = member;
  return { ...rest, config: z.strictObject(fields) };
}

/** Keras' backend epsilon. It is added to the norm, so that even a variable within the bound shrinks a little. */
export const EPSILON = 1e-7;

const index = () => z.int().min(-64).max(63);

/** One axis, several, or null for all. Negative axes count from the last. */
export function axis() {
  return z.union([index(), z.array(index()).min(1)], { error: "must be an axis, a list of axes or null" })
    .nullable().default(0)
    .describe("The axes to take norms over: 0 is per unit of a dense kernel [in, out]; null is all.");
}

/** The axes, ascending and counted from 0. Throws `invalid_config` for an axis that is missing or given twice. */
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
