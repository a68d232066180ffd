/** Counts a session's changes, and has each written down before it is made. */
import type { JournalRecord } from "../../store/journal_reader.ts";
import type { ChangeLog } from "./change_log.ts";
import type { Change } from "./change_records.ts";

export class Recorder {
  #sequence: number;
  readonly #host: { readonly log: ChangeLog };

  /** The log of `host` may become another one. */
  constructor(sequence: number, host: { readonly log: ChangeLog }) {
    this.#sequence = sequence;
    this.#host = host;
  }

  /** Of the next change. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Whether changes are written down in the bytes in which they came. */
  get keepsChanges(): boolean {
    return this.#host.log.append !== undefined;
  }

  /** Whether changes can be read again. */
  get hasRecords(): boolean {
    return this.#host.log.records !== undefined;
  }

  /** Reads the recorded changes since the newest snapshot, and perhaps more before. */
  readRecords(onRecord: (record: JournalRecord) => void): void {
    this.#host.log.records?.(onRecord);
  }

  /** Returns the change's place among all. What the log throws refuses the change. */
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
