/** Who is told of a session's changes before they are made: what the session sees of a run's files. */
import type { JournalRecord } from "../../store/journal_reader.ts";

export interface ChangeLog {
  changing(): void;
  /** Writes the change down; not there where changes are not kept. What it throws refuses the change. */
  append?(kind: number, payload: readonly Uint8Array[]): void;
  /** Everything that was appended since the newest snapshot, and perhaps more before; there if `append` is. */
  records?(onRecord: (record: JournalRecord) => void): void;
}
