/**
 * The bytes that have come from a client and were not used yet: one buffer per connection, used again and again.
 *
 * Invariants: at most one read of the socket is pending. While it is, the buffer stays where it is.
 */
import { Buffer } from "node:buffer";

/** Holds a small request. Memory that is not written to costs nothing. */
const START_BYTES = 16 << 10;

export class Inbox {
  readonly #socket: Pick<Deno.Conn, "read">;
  #buffer = Buffer.allocUnsafeSlow(START_BYTES);
  #start = 0;
  #end = 0;
  #pending: Promise<boolean> | undefined;
  /** The client sends nothing more, or the connection broke. */
  #isOver = false;
  /** Set when the connection broke. */
  broken: unknown;

  constructor(socket: Pick<Deno.Conn, "read">) {
    this.#socket = socket;
  }

  get length(): number {
    return this.#end - this.#start;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** What is here now. Valid until the next call of another method. */
  get bytes(): Buffer {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** Forgets bytes at the beginning. */
  skip(count: number): void {
    this.#start += count;
    if (this.#start === this.#end && !this.#pending) this.#start = this.#end = 0;
  }

  /** Waits for more bytes, and makes room for `bytesMax` of them at most. Returns false when there are no more. */
  fill(bytesMax: number): Promise<boolean> {
    if (!this.#pending && this.#end === this.#buffer.length) this.#makeRoom(bytesMax);
    return this.watch();
  }

  /** Like {@link fill}, without making room: notices the end of a client whose request is being answered. */
  watch(): Promise<boolean> {
    if (this.#isOver) return Promise.resolve(false);
    if (this.#pending) return this.#pending;
    if (this.#end === this.#buffer.length) return new Promise(() => {});
    return this.#pending = this.#read();
  }

  /** Fills `view`, or a part of it, and returns the number of bytes; 0 when there are no more. */
  async readInto(view: Uint8Array): Promise<number> {
    if (this.length === 0 && this.#pending) await this.#pending;
    if (this.length > 0) {
      const count = Math.min(this.length, view.length);
      view.set(this.#buffer.subarray(this.#start, this.#start + count));
      this.skip(count);
      return count;
    }
    if (this.#isOver) return 0;
    try {
      const count = await this.#socket.read(view);
      if (count !== null) return count;
    } catch (error) {
      this.broken = error;
    }
    this.#isOver = true;
    return 0;
  }

  async #read(): Promise<boolean> {
    let count: number | null = null;
    try {
      count = await this.#socket.read(this.#buffer.subarray(this.#end));
    } catch (error) {
      this.broken = error;
    }
    this.#pending = undefined;
    if (count === null) {
      this.#isOver = true;
      return false;
    }
    this.#end += count;
    return true;
  }

  #makeRoom(bytesMax: number): void {
    const { length } = this;
    const size = this.#start > 0
      ? this.#buffer.length
      : Math.min(2 * this.#buffer.length, Math.max(bytesMax, length + 1));
    const next = size === this.#buffer.length ? this.#buffer : Buffer.allocUnsafeSlow(size);
    this.#buffer.copy(next, 0, this.#start, this.#end);
    this.#buffer = next;
    this.#start = 0;
    this.#end = length;
  }
}
