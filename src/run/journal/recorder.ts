/** Counts a session's changes and records each one before it is made. */
import type { JournalRecord } from "../../store/journal_reader.ts";
import type { ChangeLog } from "./change_log.ts";
import type { Change } from "./change_records.ts";

export class Recorder {
  #sequence: number;
  readonly #host: { readonly log: ChangeLog };

  /** The log is read from `host` for each change, because it may be replaced. */
  constructor(sequence: number, host: { readonly log: ChangeLog }) {
    this.#sequence = sequence;
    this.#host = host;
  }

  /** Sequence number of the next change. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Whether changes are recorded, with the bytes that were received. */
  get keepsChanges(): boolean {
    return this.#host.log.append !== undefined;
  }

  /** Whether changes can be read again. */
  get hasRecords(): boolean {
    return this.#host.log.records !== undefined;
  }

  /** Reads the recorded changes since the newest snapshot, and perhaps earlier ones. */
  readRecords(onRecord: (record: JournalRecord) => void): void {
    this.#host.log.records?.(onRecord);
  }

  /** Returns the change's sequence number. An error that the log throws refuses the change. */
  record(change: () => Change): number {
    const { log } = this.#host;
    log.changing();
    if (log.append) {
      const { kind, payload } = change();
      log.append(kind, payload);
    }
    return this.#sequence++;
  }
}
