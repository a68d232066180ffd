/**
 * Lines of JSON to an output, written behind the caller's back: logging never waits and never holds more than its
 * bound. Not a logger with levels; what is worth a line is decided elsewhere.
 *
 * Invariant: lines come out whole and in order; those that would break the bound are counted and told of.
 */

/** About four thousand requests whose lines the output did not take yet. */
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

  /** Takes one object; `JSON.stringify` leaves out what is undefined. */
  add(line: Readonly<Record<string, unknown>>): void {
    if (this.#waiting.length > WAITING_LENGTH_MAX) {
      this.#dropped += 1;
      return;
    }
    this.#waiting += JSON.stringify(line) + "\n";
    // In a task of its own, so that the lines of many requests go out in one write.
    this.#writing ??= new Promise((resolve) => setTimeout(resolve)).then(() => this.#drain());
  }

  /** Resolves when every line so far is out. */
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
      // Whoever read the log has gone; the service goes on without one.
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
