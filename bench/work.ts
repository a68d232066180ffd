/**
 * The work of every dense contender: one optimizer step on one variable. The contenders themselves are elsewhere.
 */
import { gradientValues } from "./data.ts";

export const DENSE_RULES = ["SGD", "Momentum", "Adam", "Adagrad"] as const;
export type DenseRule = (typeof DENSE_RULES)[number];

/** Hyperparameters that all contenders share, with their Keras names. */
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

/** A contender with its own copy of the work's state. */
export interface Stepper {
  readonly name: string;
  step(): void;
  /** A copy of the variable's current values. */
  values(): Float32Array;
  dispose(): void;
}

export function denseWork(rule: DenseRule, count: number): DenseWork {
  return { rule, count, initial: gradientValues(count, 1), gradient: gradientValues(count, 2) };
}
