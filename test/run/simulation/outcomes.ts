/** What can come of a request, told apart. */
import { type ErrorCode, StepwellError } from "../../../src/errors.ts";
import { Refused } from "./state.ts";

/** The connection broke, or nobody was there. */
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

/** Of a refusal, by the service or by the model; any other error is one. */
export function codeOf(error: unknown): ErrorCode | undefined {
  if (error === undefined) return undefined;
  if (error instanceof StepwellError || error instanceof Refused) return error.code;
  throw error;
}

/** Refusals by which nothing has changed, for reasons that the model knows nothing of. */
export const isTrouble = (error: unknown): boolean =>
  error instanceof StepwellError && ["storage_full", "out_of_memory"].includes(error.code);
