/** Where a session's changes are counted, and written down before they are made. */
import type { ChangeLog } from "./change_log.ts";
import type { Change } from "./change_records.ts";

export class Recorder {
  #sequence: number;
  #log: ChangeLog | undefined;
  /** Where records can be read again; set from without while a replay, which has no log yet, is under way. */
  readRecords: ChangeLog["records"] | undefined;

  constructor(sequence: number) {
    this.#sequence = sequence;
  }

  /** Of the next change. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Whether changes are written down in the bytes in which they came. */
  get keepsChanges(): boolean {
    return this.#log?.append !== undefined;
  }

  /** From now on the log is told of every change before it is made. */
  attach(log: ChangeLog): void {
    this.#log = log;
    this.readRecords = log.records && ((onRecord) => log.records?.(onRecord));
  }

  /** Returns the change's place among all. What the log throws refuses the change. */
  record(change: () => Change): number {
    this.#log?.changing();
    if (this.#log?.append) {
      const { kind, payload } = change();
      this.#log.append(kind, payload);
    }
    return this.#sequence++;
  }
}
