/** The log of a session's changes: the session's view of the run's files. */
import type { JournalRecord } from "../../store/journal_reader.ts";

export interface ChangeLog {
  /** Called before each change. */
  changing(): void;
  /** Appends the change; absent if changes are not stored. An error that it throws refuses the change. */
  append?(kind: number, payload: readonly Uint8Array[]): void;
  /** Reads the records since the newest snapshot, and perhaps earlier ones; absent if nothing is recorded. */
  records?(onRecord: (record: JournalRecord) => void): void;
}
