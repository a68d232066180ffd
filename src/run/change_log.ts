/** Where a session's changes are written before they are made: what the session sees of a run's files. */
import type { JournalRecord } from "../store/journal.ts";

export interface ChangeLog {
  /** What it throws refuses the change. */
  append(kind: number, payload: readonly Uint8Array[]): void;
  /** Everything that was appended since the newest snapshot, and perhaps more before. */
  records(onRecord: (record: JournalRecord) => void): void;
}
