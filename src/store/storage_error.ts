/** What the disk, or the database, said when it could not do something, as the catalogue says it. */
import { StepwellError } from "../errors.ts";

/** `what` could not be done: "store the change" unless said otherwise. */
export function storageError(error: unknown, what = "store the change"): StepwellError {
  if (error instanceof StepwellError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const issues = [{ path: "storage", message }];
  return /os error (28|122)\b|ENOSPC|EDQUOT|disk is full/.test(message)
    ? new StepwellError("storage_full", `Cannot ${what}: the disk of the data folder is full`, issues)
    : new StepwellError("storage_failed", `Cannot ${what}: the data folder did not do it`, issues);
}

/**
 * Reads a file. What is not there, or on a bad sector, is gone for good: `Damage`. Anything else, such as too many open
 * files, is the moment's: storage_failed.
 */
export function reading<T>(Damage: DamageClass, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw readError(Damage, error);
  }
}

/** As {@link reading}, while others are served. */
export async function readingLater<T>(Damage: DamageClass, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw readError(Damage, error);
  }
}

type DamageClass = new (message: string, options: ErrorOptions) => Error;

function readError(Damage: DamageClass, error: unknown): Error {
  const isGone = error instanceof Deno.errors.NotFound ||
    error instanceof Error && /os error 5\b/.test(error.message);
  return isGone ? new Damage(error.message, { cause: error }) : storageError(error, "read the run");
}
