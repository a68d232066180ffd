/** What the disk, or the database, said when it could not do something, as the catalogue says it. */
import { StepwellError } from "../errors.ts";

export function storageError(error: unknown): StepwellError {
  if (error instanceof StepwellError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return /os error (28|122)\b|ENOSPC|EDQUOT|disk is full/.test(text)
    ? new StepwellError("storage_full", "Cannot store the change: the disk of the data folder is full", [
      { path: "storage", message: text },
    ])
    : new StepwellError("storage_failed", "Cannot store the change: the data folder cannot be written", [
      { path: "storage", message: text },
    ]);
}
