/**
 * A log of JSON lines, written in the background: logging never waits, and the buffer is bounded. It has no levels;
 * callers decide what to log.
 *
 * Invariant: lines are written whole and in order. Lines beyond the bound are dropped, and one line reports how many.
 */

/** The unwritten lines of about four thousand requests. */
const WAITING_LENGTH_MAX = 1 << 20;

export interface Output {
  write(bytes: Uint8Array): Promise<number>;
}

export class LineLog {
  readonly #output: Output;
  #waiting = "";
  #dropped = 0;
  #writing: Promise<void> | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Logs one object. `JSON.stringify` leaves out undefined members. */
  add(line: Readonly<Record<string, unknown>>): void {
    if (this.#waiting.length > WAITING_LENGTH_MAX) {
      this.#dropped += 1;
      return;
    }
    this.#waiting += JSON.stringify(line) + "\n";
    // A separate task, so that one write takes the lines of many requests.
    this.#writing ??= new Promise((resolve) => setTimeout(resolve)).then(() => this.#drain());
  }

  /** Resolves when every line so far is written. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#waiting !== "") {
        let bytes = new TextEncoder().encode(this.#take());
        while (bytes.length > 0) bytes = bytes.subarray(await this.#output.write(bytes));
      }
    } catch {
      // The reader of the log is gone. The service continues without a log.
      this.#waiting = "";
    } finally {
      this.#writing = undefined;
    }
  }

  #take(): string {
    const text = this.#waiting;
    this.#waiting = "";
    if (this.#dropped === 0) return text;
    const told = JSON.stringify({ level: "warn", message: "log lines were dropped", count: this.#dropped });
    this.#dropped = 0;
    return `${text}${told}\n`;
  }
}
