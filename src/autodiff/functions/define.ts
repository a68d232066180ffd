/**
 * What a function of the loss language is: how it is called, which shape it gives, and what computes it. The tables
 * beside this file are the whitelist; the parser, the layers, the docs and the tests derive from them.
 *
 * Not an importer of tfjs: it is handed in, where it was loaded. Invariant: `shape` is told before anything is computed
 * and is the shape that `apply` gives.
 */
import type { Shape } from "../../tensor.ts";

export type Tf = typeof import("@tensorflow/tfjs");
export type Tensor = InstanceType<Tf["Tensor"]>;

/** What may stand in the text for an option. */
export type Literal = number | string | readonly Literal[];
/** A value that can travel to a worker. */
export type OptionValue = number | string | boolean | null | readonly number[];

/** A parameter that is no tensor. */
export interface Option<T extends OptionValue = OptionValue> {
  /** In words, for messages and docs. */
  readonly wanted: string;
  /** Absent: it must be given. */
  readonly initial?: T;
  /** Undefined for what it does not take. */
  readonly read: (literal: Literal) => T | undefined;
}
type Options = Readonly<Record<string, Option>>;
type ValuesOf<O extends Options> = {
  readonly [Name in keyof O]: O[Name] extends Option<infer T> ? T : never;
};

/** What is wrong with the shapes, or the values, of a call; the caller adds which call it was. */
export class MisfitError extends Error {
  override readonly name = "MisfitError";
}

/** What a call takes, beyond as many steps and numbers as there are elements in its result. */
export interface Cost {
  /** Multiplications, about, of its longest kernel: one kernel is not interrupted. */
  readonly work: number;
  /** Numbers that it holds meanwhile. */
  readonly scratch: number;
}

export interface TensorFunction {
  readonly name: string;
  /** Names of the tensors that it takes; "...": the first parameter is a list of them. */
  readonly tensors: readonly string[];
  readonly options: Options;
  /** One sentence. */
  readonly does: string;
  /** Of the second kind nothing goes back through it: a comparison, an index. */
  readonly gradient: "flows" | "stops";
  readonly shape: (shapes: readonly Shape[], options: Readonly<Record<string, OptionValue>>) => Shape;
  /** Absent: nothing worth mentioning. */
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
  // The tuples are as long as `tensors`: the caller sees to that.
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

/** A function of the tensors' elements: of one, or of several that broadcast. */
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

/** The shape of an operation on the elements of both, as numpy and TensorFlow broadcast. Throws {@link MisfitError}. */
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

/** An axis of a tensor of `rank` dimensions, counted from the end where it is negative. Throws {@link MisfitError}. */
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

/** One axis, several, or null: all of them. */
export const axes = (): Option<number | readonly number[] | null> => ({
  wanted: "an axis, a list of axes or none",
  initial: null,
  read: (literal) => literal === "none" ? null : isInteger(literal) ? literal : integers().read(literal),
});
