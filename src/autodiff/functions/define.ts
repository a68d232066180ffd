/**
 * The type of a function of the loss language: its signature, its result's shape and its implementation. The tables
 * beside this file are the whitelist; the parser, the layers, the docs and the tests derive from them.
 *
 * This file does not import tfjs; callers pass it in. Invariant: `shape` is called before anything is computed and
 * returns the shape of the result of `apply`.
 */
import type { Shape } from "../../tensor.ts";

export type Tf = typeof import("@tensorflow/tfjs");
export type Tensor = InstanceType<Tf["Tensor"]>;

/** The literal for an option in the text of a loss. */
export type Literal = number | string | readonly Literal[];
/** A value that can be sent to a worker. */
export type OptionValue = number | string | boolean | null | readonly number[];

/** A parameter that is not a tensor. */
export interface Option<T extends OptionValue = OptionValue> {
  /** The accepted values in words, for messages and docs. */
  readonly wanted: string;
  /** The default; absent if the option is required. */
  readonly initial?: T;
  /** Returns undefined for a literal that the option does not accept. */
  readonly read: (literal: Literal) => T | undefined;
}
type Options = Readonly<Record<string, Option>>;
type ValuesOf<O extends Options> = {
  readonly [Name in keyof O]: O[Name] extends Option<infer T> ? T : never;
};

/** A problem with the shapes or values of a call. The caller adds which call it was. */
export class MisfitError extends Error {
  override readonly name = "MisfitError";
}

/** The cost of a call beyond one step and one number per element of its result. */
export interface Cost {
  /** The approximate multiplications of its longest kernel: a kernel cannot be interrupted. */
  readonly work: number;
  /** The numbers that it holds temporarily. */
  readonly scratch: number;
}

export interface TensorFunction {
  readonly name: string;
  /** The names of its tensors; "..." means that the first parameter is a list of tensors. */
  readonly tensors: readonly string[];
  readonly options: Options;
  /** A description in one sentence. */
  readonly does: string;
  /** "stops": no gradient flows back through it, as for a comparison or an index. */
  readonly gradient: "flows" | "stops";
  readonly shape: (shapes: readonly Shape[], options: Readonly<Record<string, OptionValue>>) => Shape;
  /** Absent if the cost is negligible. */
  readonly cost?: (shapes: readonly Shape[], options: Readonly<Record<string, OptionValue>>) => Cost;
  readonly apply: (
    tf: Tf,
    tensors: readonly Tensor[],
    options: Readonly<Record<string, OptionValue>>,
  ) => Tensor;
}

interface Definition<O extends Options> {
  readonly tensors: readonly string[];
  readonly options?: O;
  readonly does: string;
  readonly gradient?: "stops";
  // The caller ensures that the tuples are as long as `tensors`.
  // deno-lint-ignore no-explicit-any
  readonly shape: (shapes: any, options: ValuesOf<O>) => Shape;
  // deno-lint-ignore no-explicit-any
  readonly cost?: (shapes: any, options: ValuesOf<O>) => Cost;
  // deno-lint-ignore no-explicit-any
  readonly apply: (tf: Tf, tensors: any, options: ValuesOf<O>) => Tensor;
}

export function define<const O extends Options = Record<never, never>>(
  name: string,
  { options, gradient, ...rest }: Definition<O>,
): TensorFunction {
  return {
    ...rest,
    name,
    gradient: gradient ?? "flows",
    options: options ?? {},
  } as unknown as TensorFunction;
}

/** Defines a function of the elements of one tensor, or of several that broadcast. */
export function elementwise(
  name: string,
  tensors: readonly string[],
  does: string,
  // deno-lint-ignore no-explicit-any
  apply: (tf: Tf, ...tensors: any[]) => Tensor,
  gradient?: "stops",
): TensorFunction {
  return define(name, {
    tensors,
    does,
    ...gradient && { gradient },
    shape: (shapes: readonly Shape[]) => shapes.reduce(broadcast),
    apply: (tf, args: readonly Tensor[]) => apply(tf, ...args),
  });
}

/** The shape that both shapes broadcast to, as in numpy and TensorFlow. Throws {@link MisfitError}. */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const n = a[axis - rank + a.length] ?? 1, m = b[axis - rank + b.length] ?? 1;
    if (n !== m && n !== 1 && m !== 1) {
      throw new MisfitError(`the shapes [${a.join(", ")}] and [${b.join(", ")}] do not broadcast`);
    }
    return n === 1 ? m : n;
  });
}

/** The axis counted from 0; a negative axis counts from the end. Throws {@link MisfitError}. */
export function axisOf(axis: number, rank: number): number {
  const at = axis < 0 ? axis + rank : axis;
  if (at >= 0 && at < rank) return at;
  throw new MisfitError(`axis ${axis} is not one of a tensor of ${rank} dimensions`);
}

const isInteger = (literal: Literal): literal is number => Number.isSafeInteger(literal);

export const integer = (initial?: number): Option<number> => ({
  wanted: "an integer",
  ...initial !== undefined && { initial },
  read: (literal) => isInteger(literal) ? literal : undefined,
});

export const number = (initial?: number): Option<number> => ({
  wanted: "a number",
  ...initial !== undefined && { initial },
  read: (literal) => typeof literal === "number" ? literal : undefined,
});

export const flag = (initial: boolean): Option<boolean> => ({
  wanted: "true or false",
  initial,
  read: (literal) => literal === "true" ? true : literal === "false" ? false : undefined,
});

export const word = (words: readonly string[], initial?: string): Option<string> => ({
  wanted: words.join(" or "),
  ...initial !== undefined && { initial },
  read: (literal) => typeof literal === "string" && words.includes(literal) ? literal : undefined,
});

export const integers = (): Option<readonly number[]> => ({
  wanted: "a list of integers",
  read: (literal) =>
    Array.isArray(literal) && literal.length <= 16 && literal.every(isInteger)
      ? literal as number[]
      : undefined,
});

/** One axis, several, or null for all. */
export const axes = (): Option<number | readonly number[] | null> => ({
  wanted: "an axis, a list of axes or none",
  initial: null,
  read: (literal) => literal === "none" ? null : isInteger(literal) ? literal : integers().read(literal),
});
