/** Where a session's changes are written down: what the session sees of a run's files. */
import type { JournalRecord } from "../../store/journal_reader.ts";

export interface ChangeLog {
  /** A change is about to be made. */
  changing(): void;
  /** Writes the change down; absent where changes are not kept. What it throws refuses the change. */
  append?(kind: number, payload: readonly Uint8Array[]): void;
  /** Everything that was appended since the newest snapshot, and perhaps more before; absent where nothing was. */
  records?(onRecord: (record: JournalRecord) => void): void;
}
