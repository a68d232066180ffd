/** `run.json` in a run's folder: what is needed to list the run again if the database does not know it. */
import { readCheckedFile, readingCheckedFile, writeCheckedFile } from "./checked_file.ts";
import type { Files } from "./files.ts";
import type { CreationRecord, RunRecord } from "./kv.ts";

/** A run as described by its folder. */
export interface RunFile {
  readonly record: RunRecord;
  /** The run's config as JSON at its newest snapshot. */
  readonly config: string;
  /** The keyed request that created the run. */
  readonly creation?: Required<CreationRecord>;
  /** The earlier incarnation of the same id that this one replaces. */
  readonly replaces?: string;
  /** Sequence number of the next change when this file was written: the journals reach at least that far. */
  readonly sequence: number;
}

const placeIn = (folder: string) => ({ folder, file: "run.json", member: "run" });

/** The file is durable once the folder is synced too. Throws what the disk throws. */
export function writeRunFile(files: Files, folder: string, run: RunFile): Promise<void> {
  return writeCheckedFile(files, placeIn(folder), run);
}

/** Returns undefined if there is none. Throws {@link CheckedFileDamage} and storage_failed. */
export function readRunFile(files: Files, folder: string): RunFile | undefined {
  return readCheckedFile(files, placeIn(folder));
}

/** As {@link readRunFile}, in pieces. */
export function readingRunFile(files: Files, folder: string): Generator<number, RunFile | undefined> {
  return readingCheckedFile(files, placeIn(folder));
}
