/**
 * The work that every dense contender does: one optimizer step on one variable. Not the contenders themselves.
 */
import { gradientValues } from "./data.ts";

export const DENSE_RULES = ["SGD", "Momentum", "Adam", "Adagrad"] as const;
export type DenseRule = (typeof DENSE_RULES)[number];

/** Hyperparameters that all contenders share, in the Keras vocabulary. */
export const LEARNING_RATE = 0.001;
export const MOMENTUM = 0.9;
export const BETA_1 = 0.9;
export const BETA_2 = 0.999;
export const EPSILON = 1e-7;
export const INITIAL_ACCUMULATOR = 0.1;

export const COUNTS = [1_000, 100_000, 1_000_000, 10_000_000] as const;

export interface DenseWork {
  readonly rule: DenseRule;
  readonly count: number;
  readonly initial: Float32Array<ArrayBuffer>;
  readonly gradient: Float32Array<ArrayBuffer>;
}

/** A contender's own copy of the work's state. */
export interface Stepper {
  readonly name: string;
  step(): void;
  /** The variable as it is now, copied out. */
  values(): Float32Array;
  dispose(): void;
}

export function denseWork(rule: DenseRule, count: number): DenseWork {
  return { rule, count, initial: gradientValues(count, 1), gradient: gradientValues(count, 2) };
}
