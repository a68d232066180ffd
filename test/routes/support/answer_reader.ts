/** Reads one answer of HTTP/1.1 from a connection, byte by byte as it was written. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";

const LF = 0x0a;

export class AnswerReader {
  readonly #socket: Pick<Deno.Conn, "read">;
  #buffer = Buffer.allocUnsafe(64 << 10);
  #start = 0;
  #end = 0;

  constructor(socket: Pick<Deno.Conn, "read">) {
    this.#socket = socket;
  }

  async head(): Promise<{ status: number; headers: Headers }> {
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(await this.#line())?.[1]);
    const headers = new Headers();
    for (let line = await this.#line(); line !== ""; line = await this.#line()) {
      const colon = line.indexOf(":");
      headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
    }
    return { status, headers };
  }

  async bytes(count: number): Promise<Uint8Array<ArrayBuffer>> {
    while (this.#end - this.#start < count) await this.#more();
    return Uint8Array.from(this.#buffer.subarray(this.#start, this.#start += count));
  }

  /** Undefined: it was the last one. */
  async chunk(): Promise<Uint8Array | undefined> {
    const size = parseInt(await this.#line(), 16);
    const bytes = await this.bytes(size);
    assert.equal(await this.#line(), "");
    return size === 0 ? undefined : bytes;
  }

  async #line(): Promise<string> {
    for (;;) {
      const at = this.#buffer.subarray(this.#start, this.#end).indexOf(LF);
      if (at < 0) await this.#more();
      else return String.fromCharCode(...await this.bytes(at + 1)).replace(/\r\n$/, "");
    }
  }

  async #more(): Promise<void> {
    if (this.#end === this.#buffer.length) {
      const next = Buffer.allocUnsafe(2 * this.#buffer.length);
      this.#end = this.#buffer.copy(next, 0, this.#start, this.#end);
      this.#start = 0;
      this.#buffer = next;
    }
    const count = await this.#socket.read(this.#buffer.subarray(this.#end));
    if (count === null) throw new Error("The connection ended within an answer");
    this.#end += count;
  }
}
