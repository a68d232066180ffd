/** The possible outcomes of a request. */
import { type ErrorCode, StepwellError } from "../../../src/errors.ts";
import { Refused } from "./state.ts";

/** The connection broke, or the service was down. */
export class Lost extends Error {}

interface Outcome<T> {
  readonly value?: T;
  readonly error?: unknown;
}

export function attempt<T>(act: () => T): Outcome<T> {
  try {
    return { value: act() };
  } catch (error) {
    return { error };
  }
}

/** The code of a refusal by the service or the model; any other error is rethrown. */
export function codeOf(error: unknown): ErrorCode | undefined {
  if (error === undefined) return undefined;
  if (error instanceof StepwellError || error instanceof Refused) return error.code;
  throw error;
}

/** Refusals without effect, for reasons that the model does not know. */
export const isTrouble = (error: unknown): boolean =>
  error instanceof StepwellError && ["storage_full", "out_of_memory"].includes(error.code);
