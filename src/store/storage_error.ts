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
export function reading<T>(Damage: new (message: string, options: ErrorOptions) => Error, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const isGone = error instanceof Deno.errors.NotFound ||
      error instanceof Error && /os error 5\b/.test(error.message);
    if (isGone) throw new Damage(error.message, { cause: error });
    throw storageError(error, "read the run");
  }
}
